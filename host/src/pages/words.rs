//! What the pages say, in each language of theirs.

use crate::suppression::Scope;

/// The texts of one language.
pub(super) struct Words {
    /// BCP 47.
    pub(super) language: &'static str,
    pub(super) verify: &'static str,
    pub(super) verify_button: &'static str,
    pub(super) verified: &'static str,
    pub(super) reset: &'static str,
    pub(super) new_password: &'static str,
    pub(super) password_rule: &'static str,
    pub(super) reset_button: &'static str,
    pub(super) password_set: &'static str,
    pub(super) over: &'static str,
    pub(super) taken: &'static str,
    pub(super) later: &'static str,
    pub(super) to_the_shop: &'static str,
    pub(super) stop: &'static str,
    pub(super) stop_button: &'static str,
    pub(super) stopped: &'static str,
    pub(super) choose: &'static str,
    pub(super) which: &'static str,
    pub(super) always: &'static str,
    pub(super) save: &'static str,
    pub(super) saved: &'static str,
    requested: &'static str,
    marketing: &'static str,
}

const ENGLISH: Words = Words {
    language: "en",
    verify: "Is this your e-mail address?",
    verify_button: "Yes, it is",
    verified: "Thank you. Your e-mail address is verified.",
    reset: "Choose a new password",
    new_password: "New password, at least 10 characters",
    password_rule: "A password has 10 to 200 characters.",
    reset_button: "Set password",
    password_set: "Your new password is set. Please log in with it.",
    over: "This link does not work any more. Please ask for a new one.",
    taken: "Somebody else has an account with this e-mail address.",
    later: "That did not work. Please try again in a few minutes.",
    to_the_shop: "To the shop",
    stop: "No more of these mails?",
    stop_button: "Unsubscribe",
    stopped: "You are unsubscribed from these mails.",
    choose: "Choose which mails you get",
    which: "Which mails do you want?",
    always: "Mails about your orders and your account always reach you.",
    save: "Save",
    saved: "Your choice is saved.",
    requested: "Mails that you asked for, such as when a product is back in stock",
    marketing: "News and offers",
};

const GERMAN: Words = Words {
    language: "de",
    verify: "Ist das Ihre E-Mail-Adresse?",
    verify_button: "Ja, das ist sie",
    verified: "Danke. Ihre E-Mail-Adresse ist bestätigt.",
    reset: "Neues Passwort wählen",
    new_password: "Neues Passwort, mindestens 10 Zeichen",
    password_rule: "Ein Passwort hat 10 bis 200 Zeichen.",
    reset_button: "Passwort setzen",
    password_set: "Ihr neues Passwort gilt. Bitte melden Sie sich damit an.",
    over: "Dieser Link gilt nicht mehr. Bitte fordern Sie einen neuen an.",
    taken: "Mit dieser E-Mail-Adresse gibt es schon ein anderes Konto.",
    later: "Das hat nicht geklappt. Bitte versuchen Sie es in ein paar Minuten noch einmal.",
    to_the_shop: "Zum Shop",
    stop: "Keine solchen Mails mehr?",
    stop_button: "Abbestellen",
    stopped: "Sie bekommen keine solchen Mails mehr.",
    choose: "Auswählen, welche Mails Sie bekommen",
    which: "Welche Mails möchten Sie?",
    always: "Mails zu Ihren Bestellungen und Ihrem Konto bekommen Sie immer.",
    save: "Speichern",
    saved: "Ihre Auswahl ist gespeichert.",
    requested: "Mails, um die Sie gebeten haben, etwa wenn es ein Produkt wieder gibt",
    marketing: "Neuigkeiten und Angebote",
};

impl Words {
    /// What mails of a category are.
    pub(super) fn category(&self, scope: Scope) -> &'static str {
        if scope == Scope::Marketing { self.marketing } else { self.requested }
    }

    /// For a language tag (BCP 47), or a list of them as browsers send it; English where there is none.
    pub(super) fn of(asked: &str) -> &'static Self {
        let wanted = asked.split([',', ';', '-', '_']).next().unwrap_or_default().trim();
        if wanted.eq_ignore_ascii_case("de") { &GERMAN } else { &ENGLISH }
    }
}

#[cfg(test)]
mod tests {
    use super::Words;

    #[test]
    fn a_tag_or_a_browsers_list_chooses_the_language() {
        let of = |asked| Words::of(asked).language;
        assert_eq!([of("de"), of("de-AT"), of("DE-at,en;q=0.5"), of("de;q=0.9")], ["de"; 4]);
        assert_eq!([of(""), of("en-GB"), of("den"), of("fr, de")], ["en"; 4]);
    }
}
