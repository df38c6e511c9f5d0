// Package export_ecomm_notification_policy is a policy in Go: give up on what was refused for good, else try again later
// and later.
package export_ecomm_notification_policy

import (
	witTypes "go.bytecodealliance.org/pkg/wit/types"
	policy "wit_component/ecomm_notification_policy"
	plugin "wit_component/export_ecomm_notification_plugin"
)

const retryMsMax = 6 * 3_600_000

// Admit says whether to send.
func Admit(policy.Brief, policy.Situation) policy.Admission {
	return policy.MakeAdmissionSend(policy.Sending{
		Relay:     witTypes.None[string](),
		AbVariant: witTypes.None[string](),
	})
}

// OnFailure says what becomes of a mail that failed.
func OnFailure(_ policy.Brief, f policy.Failure, s policy.Situation) policy.Verdict {
	switch f.FailureClass.Tag() {
	case policy.FailureClassRejected:
		return policy.MakeVerdictGiveUp(f.ReplyText)
	case policy.FailureClassRenderFailed:
		return policy.MakeVerdictHold(policy.Holding{Reason: f.ReplyText})
	}
	if s.Attempts >= plugin.Config.AttemptsMax {
		return policy.MakeVerdictGiveUp(f.ReplyText)
	}
	afterMs := plugin.Config.RetryMs
	for i := uint32(1); i < s.Attempts && afterMs < retryMsMax; i++ {
		afterMs *= 2
	}
	return policy.MakeVerdictRetry(policy.Retrying{AfterMs: min(afterMs, retryMsMax), Relay: witTypes.None[string]()})
}
