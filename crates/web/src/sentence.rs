//! Errors as sentences. Below this crate an error is a clause that others can build on ("there is no account with the handle
//! x.example"); a person is shown a sentence, and this is the one place that makes it one.

/// Begins with a capital letter, where the first word is a word, and ends with a full stop.
///
/// ```
/// use sheaf_web::sentence;
///
/// assert_eq!(sentence::of("there is no account with the handle x.example"), "There is no account with the handle x.example.");
/// assert_eq!(sentence::of("x.example points at nobody"), "x.example points at nobody.", "a name stays as it is");
/// assert_eq!(sentence::of("This is one already."), "This is one already.");
/// ```
pub fn of(clause: &str) -> String {
    let clause = clause.trim();
    let first = clause.split_whitespace().next().unwrap_or_default();
    let is_word = first.trim_end_matches([',', ';', ':']).chars().all(char::is_alphabetic);
    let mut sentence = String::with_capacity(clause.len() + 1);
    let mut rest = clause.chars();
    match rest.next() {
        // The first word is English. Case by Unicode would bring along tables larger than all sentences.
        Some(letter) if is_word => sentence.push(letter.to_ascii_uppercase()),
        Some(letter) => sentence.push(letter),
        None => {}
    }
    sentence.push_str(rest.as_str());
    if !sentence.is_empty() && !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

/// An error as the page gets it.
#[cfg(target_arch = "wasm32")]
pub(crate) fn refusal(error: impl std::fmt::Display) -> wasm_bindgen::JsError {
    wasm_bindgen::JsError::new(&of(&error.to_string()))
}
