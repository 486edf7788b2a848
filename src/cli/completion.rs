//! `completion`: what a shell needs to complete this command.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, print};

pub(super) const EXAMPLES: &str = "Examples:
  source <(bwp-sync completion bash)
  bwp-sync completion zsh > ~/.zfunc/_bwp-sync
  bwp-sync completion fish > ~/.config/fish/completions/bwp-sync.fish";

/// `bwp-sync completion`
pub(super) fn run(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bwp-sync", &mut script);
    print(&String::from_utf8_lossy(&script))
}
