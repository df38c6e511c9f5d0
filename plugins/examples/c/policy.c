// A policy in C: give up on what was refused for good, else try again later and later. It takes no config.

#include <string.h>

#include "policy_plugin.h"

typedef policy_plugin_string_t string;

static const char schema[] = "{\"type\": \"object\", \"additionalProperties\": false}";
static const uint64_t retry_ms = 30000, retry_ms_max = 6 * 3600000;
static const uint32_t attempts_max = 12;

void exports_ecomm_notification_plugin_describe(ecomm_notification_types_manifest_t *ret) {
  memset(ret, 0, sizeof *ret);
  policy_plugin_string_dup(&ret->name, "my-plugin");
  policy_plugin_string_dup(&ret->version, "0.1.0");
  policy_plugin_string_dup(&ret->description, "Retries that come later and later.");
  policy_plugin_string_dup(&ret->config_schema, schema);
}

bool exports_ecomm_notification_plugin_configure(string *config, ecomm_notification_types_config_error_t *err) {
  if (config->len == 2 && memcmp(config->ptr, "{}", 2) == 0) return true;
  policy_plugin_string_dup(&err->pointer, "");
  policy_plugin_string_dup(&err->message, "this policy takes no config but {}");
  return false;
}

void exports_ecomm_notification_policy_admit(exports_ecomm_notification_policy_brief_t *b,
                                             exports_ecomm_notification_policy_situation_t *s,
                                             exports_ecomm_notification_policy_admission_t *ret) {
  memset(ret, 0, sizeof *ret);
  ret->tag = EXPORTS_ECOMM_NOTIFICATION_POLICY_ADMISSION_SEND;
  exports_ecomm_notification_policy_brief_free(b);
  exports_ecomm_notification_policy_situation_free(s);
}

void exports_ecomm_notification_policy_on_failure(exports_ecomm_notification_policy_brief_t *b,
                                                  exports_ecomm_notification_policy_failure_t *f,
                                                  exports_ecomm_notification_policy_situation_t *s,
                                                  exports_ecomm_notification_policy_verdict_t *ret) {
  memset(ret, 0, sizeof *ret);
  const uint8_t failed = f->failure_class.tag;
  // What the answer takes over is not freed with the question.
  const string said = f->reply_text;
  f->reply_text = (string){0};
  if (failed == EXPORTS_ECOMM_NOTIFICATION_POLICY_FAILURE_CLASS_RENDER_FAILED) {
    ret->tag = EXPORTS_ECOMM_NOTIFICATION_POLICY_VERDICT_HOLD;
    ret->val.hold.reason = said;
  } else if (failed == EXPORTS_ECOMM_NOTIFICATION_POLICY_FAILURE_CLASS_REJECTED || s->attempts >= attempts_max) {
    ret->tag = EXPORTS_ECOMM_NOTIFICATION_POLICY_VERDICT_GIVE_UP;
    ret->val.give_up = said;
  } else {
    uint64_t after_ms = retry_ms;
    for (uint32_t i = 1; i < s->attempts && after_ms < retry_ms_max; i++) after_ms *= 2;
    ret->tag = EXPORTS_ECOMM_NOTIFICATION_POLICY_VERDICT_RETRY;
    ret->val.retry.after_ms = after_ms < retry_ms_max ? after_ms : retry_ms_max;
  }
  exports_ecomm_notification_policy_brief_free(b);
  exports_ecomm_notification_policy_failure_free(f);
  exports_ecomm_notification_policy_situation_free(s);
}
