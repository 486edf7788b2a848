//! Making foreign words fit for logs and outcomes: short, and without tokens or addresses.

/// At most `most` characters, without control characters.
pub(super) fn clip(words: &str, most: usize) -> String {
    let mut clipped: String = words.chars().filter(|char| !char.is_control()).take(most).collect();
    if words.chars().nth(most).is_some() {
        clipped.push('…');
    }
    clipped
}

/// BwP's words as they may be kept: 300 characters, each word that may be a token, a secret or an
/// address replaced.
pub(super) fn safe(words: &str) -> String {
    let mut after_bearer = false;
    let words: Vec<&str> = words
        .split_whitespace()
        .map(|word| {
            let hide = after_bearer || is_private(word);
            after_bearer = word.trim_end_matches(':').to_lowercase().ends_with("bearer");
            if hide { "***" } else { word }
        })
        .collect();
    clip(&words.join(" "), 300)
}

/// E-mail addresses, and long opaque words that are none of BwP's ids (those are hexadecimal or
/// shorter).
fn is_private(word: &str) -> bool {
    let jwt = word.contains("eyJ") && word.len() > 20;
    let long = word.len() > 64 && !word.chars().all(|char| char.is_ascii_hexdigit() || char == '"');
    word.contains('@') || word.contains("Atza|") || jwt || long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_addresses_are_replaced_and_ids_stay() {
        let id = "843b87994c961221fc5f821b84d58e00944cca922b39f3873f914dc5b5834e9e";
        assert_eq!(safe("token Bearer abc rest"), "token Bearer *** rest");
        assert_eq!(safe("Authorization:Bearer abc"), "Authorization:Bearer ***");
        assert_eq!(safe("mail jane@example.com\nunknown"), "mail *** unknown");
        assert_eq!(safe(&format!("refund {id} unknown")), format!("refund {id} unknown"));
        assert_eq!(safe(&format!("x {}", "Q".repeat(65))), "x ***");
        assert_eq!(safe("saw eyJhbGciOiJIUzI1NiJ9.e30.abc"), "saw ***");
        assert_eq!(safe(&"a b".repeat(200)).chars().count(), 301);
    }
}
