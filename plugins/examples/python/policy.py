"""A policy in Python: give up on what was refused for good, else try again later and later; spare mailboxes that are full."""

import json

from wit_world import exports
from wit_world.exports.policy import (
    Admission,
    Admission_Send,
    Brief,
    Failure,
    FailureClass_Rejected,
    FailureClass_RenderFailed,
    Holding,
    Retrying,
    Sending,
    Situation,
    Verdict,
    Verdict_GiveUp,
    Verdict_Hold,
    Verdict_Retry,
)
from wit_world.exports.reports import (
    Reaction,
    Reaction_Note,
    Reaction_Suppress,
    Report,
    ReportKind_Bounced,
    Suppressing,
)
from wit_world.imports.types import Manifest

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "retry_ms": {
            "description": "After this comes the first retry.",
            "type": "integer",
            "minimum": 1_000,
            "maximum": 3_600_000,
        },
        "attempts_max": {"type": "integer", "minimum": 1, "maximum": 25},
        "full_days": {
            "description": "For so long a full mailbox gets no mails.",
            "type": "integer",
            "minimum": 1,
            "maximum": 366,
        },
    },
}
RETRY_MS_MAX = 6 * 3_600_000
DAY_MS = 24 * 3_600_000
config = {"retry_ms": 30_000, "attempts_max": 12, "full_days": 7}


class Plugin(exports.Plugin):
    def describe(self) -> Manifest:
        return Manifest("my-plugin", "0.1.0", "Retries that come later and later.", [], json.dumps(SCHEMA), [])

    def configure(self, text: str) -> None:
        # It fits the schema: the host has checked it.
        config.update(json.loads(text))


class Policy(exports.Policy):
    def admit(self, b: Brief, s: Situation) -> Admission:
        return Admission_Send(Sending(relay=None, ab_variant=None, attributes=[]))

    def on_failure(self, b: Brief, f: Failure, s: Situation) -> Verdict:
        match f.failure_class:
            case FailureClass_Rejected():
                return Verdict_GiveUp(f.reply_text)
            case FailureClass_RenderFailed():
                return Verdict_Hold(Holding(reason=f.reply_text, urgent=False))
        if s.attempts >= config["attempts_max"]:
            return Verdict_GiveUp(f.reply_text)
        after_ms = min(RETRY_MS_MAX, config["retry_ms"] * 2 ** max(0, s.attempts - 1))
        return Verdict_Retry(Retrying(after_ms=after_ms, relay=None, attributes=[]))


class Reports(exports.Reports):
    def on_report(self, b: Brief, r: Report, s: Situation) -> Reaction:
        # 5.2.2: the mailbox is full (RFC 3463).
        if isinstance(r.report_kind, ReportKind_Bounced) and r.enhanced_code == "5.2.2":
            return Reaction_Suppress(Suppressing(r.report_text, config["full_days"] * DAY_MS, True, []))
        return Reaction_Note()
