//! What plugins answer. What this version of the host does not know is refused, with words for its author.

use super::super::{wit, wit_policy, wit_reports};
use crate::notification::report::{Reaction, Suppressing};
use crate::notification::{AB_VARIANT_CHARS_MAX, Admission, Holding, Sending, Verdict};
use crate::plugin::{Attachment, Email, Manifest};

impl TryFrom<wit::Email> for Email {
    type Error = String;

    fn try_from(email: wit::Email) -> Result<Self, String> {
        let wit::Email { subject, text, html, from_name, reply_to, headers, attachments, attributes } = email;
        none_of(&attributes, "an email")?;
        let attachment = |a| {
            let wit::Attachment { name, content_type, content_id, data, attributes } = a;
            none_of(&attributes, "an attachment")?;
            Ok(Attachment { name, content_type, content_id, data })
        };
        let attachments = attachments.into_iter().map(attachment).collect::<Result<_, String>>()?;
        Ok(Self { subject, text, html, from_name, reply_to, headers, attachments })
    }
}

impl TryFrom<wit_policy::Admission> for Admission {
    type Error = String;

    fn try_from(admission: wit_policy::Admission) -> Result<Self, String> {
        Ok(match admission {
            wit_policy::Admission::Send(sending) => {
                let wit_policy::Sending { relay, ab_variant, attributes } = sending;
                let ignores_suppression = attributes == [("suppression".to_owned(), "ignore".to_owned())];
                if !ignores_suppression {
                    none_of(&attributes, "a sending")?;
                }
                let is_name = |v: &String| (1..=AB_VARIANT_CHARS_MAX).contains(&v.chars().count()) && !v.contains('\0');
                if ab_variant.as_ref().is_some_and(|variant| !is_name(variant)) {
                    return Err(format!("an ab-variant has 1 to {AB_VARIANT_CHARS_MAX} characters"));
                }
                Self::Send(Sending { relay, ab_variant, ignores_suppression })
            }
            wit_policy::Admission::Wait(ms) => Self::Wait(ms),
            wit_policy::Admission::Skip(why) => Self::Skip(why),
            wit_policy::Admission::Hold(holding) => Self::Hold(holding.into()),
            wit_policy::Admission::Merge => Self::Merge,
            wit_policy::Admission::Other(name) => return Err(unknown("admission", &name)),
        })
    }
}

impl TryFrom<wit_policy::Verdict> for Verdict {
    type Error = String;

    fn try_from(verdict: wit_policy::Verdict) -> Result<Self, String> {
        Ok(match verdict {
            wit_policy::Verdict::Retry(retrying) => {
                let wit_policy::Retrying { after_ms, relay, attributes } = retrying;
                none_of(&attributes, "a retrying")?;
                Self::Retry(after_ms, relay)
            }
            wit_policy::Verdict::GiveUp(why) => Self::GiveUp(why),
            wit_policy::Verdict::Hold(holding) => Self::Hold(holding.into()),
            wit_policy::Verdict::Other(name) => return Err(unknown("verdict", &name)),
        })
    }
}

impl TryFrom<wit_reports::Reaction> for Reaction {
    type Error = String;

    fn try_from(reaction: wit_reports::Reaction) -> Result<Self, String> {
        Ok(match reaction {
            wit_reports::Reaction::Note => Self::Note,
            wit_reports::Reaction::Resend(retrying) => {
                let wit_policy::Retrying { after_ms, relay, attributes } = retrying;
                none_of(&attributes, "a retrying")?;
                Self::Resend(after_ms, relay)
            }
            wit_reports::Reaction::Suppress(suppressing) => {
                let wit_reports::Suppressing { reason, for_ms, all_categories, attributes } = suppressing;
                none_of(&attributes, "a suppressing")?;
                Self::Suppress(Suppressing { reason, for_ms, all_categories })
            }
            wit_reports::Reaction::Hold(holding) => Self::Hold(holding.into()),
            wit_reports::Reaction::Other(name) => return Err(unknown("reaction", &name)),
        })
    }
}

impl From<wit_policy::Holding> for Holding {
    fn from(holding: wit_policy::Holding) -> Self {
        let wit_policy::Holding { reason, urgent } = holding;
        Self { reason, urgent }
    }
}

impl From<wit::Manifest> for Manifest {
    fn from(manifest: wit::Manifest) -> Self {
        let wit::Manifest { name, version, description, locales, config_schema, attributes } = manifest;
        Self { name, version, description, locales, config_schema, attributes: attributes.into_iter().collect() }
    }
}

fn none_of(attributes: &[(String, String)], what: &str) -> Result<(), String> {
    match attributes.first() {
        None => Ok(()),
        Some((name, _)) => Err(format!("this host knows no attribute \"{}\" of {what}", shown(name))),
    }
}

fn unknown(what: &str, name: &str) -> String {
    format!("this host knows no {what} \"{}\"", shown(name))
}

fn shown(name: &str) -> String {
    name.chars().take(64).filter(|c| !c.is_control()).collect()
}
