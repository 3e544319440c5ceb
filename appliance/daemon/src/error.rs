//! Classes of errors of other crates, in this one's words.

use holdfast_domain::ErrorClass;

/// The engine has a copy of [`ErrorClass`], since it knows nothing of the appliance.
#[must_use]
pub const fn engine_class(class: blockstore_engine::ErrorClass) -> ErrorClass {
    use blockstore_engine::ErrorClass as From;
    match class {
        From::Retry => ErrorClass::Retry,
        From::Operator => ErrorClass::Operator,
        From::Caller => ErrorClass::Caller,
        From::Corrupt => ErrorClass::Corrupt,
        From::Bug => ErrorClass::Bug,
        From::Cancelled => ErrorClass::Cancelled,
    }
}

/// An error and its sources in one line.
#[must_use]
pub fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Transparent errors show their source as themselves.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
