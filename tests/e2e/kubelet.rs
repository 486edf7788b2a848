//! What Kubernetes does with a pod, as far as a process can see it: the ConfigMap's and Secret's files where the manifest mounts
//! them, its environment and no other, its command. Paths are below a folder of the test's own, and every mention of them follows.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Secrets by name, each with its keys.
pub type Secrets = BTreeMap<String, BTreeMap<String, String>>;

pub struct Kubelet {
    pub manifests: Vec<Value>,
    pub secrets: Secrets,
    pub root: PathBuf,
}

impl Kubelet {
    pub fn one(&self, kind: &str) -> &Value {
        let mut found = self.manifests.iter().filter(|manifest| manifest["kind"] == kind);
        let one = found.next().unwrap_or_else(|| panic!("no {kind}"));
        assert!(found.next().is_none(), "more than one {kind}");
        one
    }

    /// The command of a pod's only container, with what it is given; each text first goes through `edit`.
    pub fn command(&self, pod: &Value, edit: impl Fn(&str) -> String) -> Command {
        let containers = list(&pod["containers"]);
        assert_eq!(containers.len(), 1);
        let container = &containers[0];
        let mounts: Vec<&str> = list(&container["volumeMounts"]).iter().map(|mount| text(&mount["mountPath"])).collect();
        let relocated =
            |given: &str| mounts.iter().fold(edit(given), |given, path| given.replace(path, self.place(path).to_str().unwrap()));
        for mount in list(&container["volumeMounts"]) {
            let folder = self.place(text(&mount["mountPath"]));
            std::fs::create_dir_all(&folder).unwrap();
            for (name, content) in self.files(pod, text(&mount["name"])) {
                std::fs::write(folder.join(name), relocated(&content)).unwrap();
            }
        }
        assert_eq!(container["command"], serde_json::json!(["bwp-sync"]));
        let mut command = Command::new(env!("CARGO_BIN_EXE_bwp-sync"));
        command.args(list(&container["args"]).iter().map(|argument| relocated(text(argument)))).env_clear();
        for variable in list(&container["env"]) {
            command.env(text(&variable["name"]), relocated(text(&variable["value"])));
        }
        command
    }

    fn place(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path).strip_prefix("/").unwrap())
    }

    /// The files of a volume.
    fn files(&self, pod: &Value, name: &str) -> Vec<(String, String)> {
        let volume = list(&pod["volumes"]).iter().find(|volume| volume["name"] == name).unwrap();
        if let Some(map) = volume["configMap"]["name"].as_str() {
            let own = |manifest: &&Value| manifest["kind"] == "ConfigMap" && manifest["metadata"]["name"] == map;
            let data = &self.manifests.iter().find(own).unwrap_or_else(|| panic!("no ConfigMap {map}"))["data"];
            return data.as_object().unwrap().iter().map(|(name, content)| (name.clone(), text(content).to_owned())).collect();
        }
        let secret = &self.secrets[text(&volume["secret"]["secretName"])];
        let file = |item: &Value| {
            let key = text(&item["key"]);
            let content = secret.get(key).unwrap_or_else(|| panic!("the Secret has no key {key}"));
            (text(&item["path"]).to_owned(), content.clone())
        };
        list(&volume["secret"]["items"]).iter().map(file).collect()
    }
}

/// A list that may be absent.
fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}
