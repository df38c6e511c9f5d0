// A renderer in C: plain text, in English. It takes no config.

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "renderer_plugin.h"

typedef renderer_plugin_string_t string;
typedef ecomm_notification_types_money_t money;

// What grows while it is written.
struct text {
  char *bytes;
  size_t len, room;
};

static void put(struct text *text, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  size_t more = (size_t)vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (text->len + more + 1 > text->room) {
    text->room = 2 * (text->len + more + 1);
    text->bytes = realloc(text->bytes, text->room);
    if (!text->bytes) abort();
  }
  vsnprintf(text->bytes + text->len, more + 1, format, again);
  va_end(again);
  text->len += more;
}

static void put_string(struct text *text, string s) { put(text, "%.*s", (int)s.len, (const char *)s.ptr); }

// 19.99 USD: minor units, with as many decimals as the currency has.
static void put_money(struct text *text, money m) {
  char digits[32];
  unsigned long long amount = m.amount < 0 ? 0 - (unsigned long long)m.amount : (unsigned long long)m.amount;
  int exponent = m.exponent > 9 ? 9 : m.exponent;
  int len = snprintf(digits, sizeof digits, "%0*llu", exponent + 1, amount);
  put(text, "%s%.*s", m.amount < 0 ? "-" : "", len - exponent, digits);
  if (exponent) put(text, ".%s", digits + len - exponent);
  put(text, " ");
  put_string(text, m.currency);
}

static void put_status(struct text *text, ecomm_notification_types_order_status_t status) {
  static const char *const words[] = {"pending", "partly shipped", "shipped", "delivered", "cancelled"};
  if (status.tag < ECOMM_NOTIFICATION_TYPES_ORDER_STATUS_OTHER) {
    put(text, "%s", words[status.tag]);
  } else {
    put_string(text, status.val.other);
  }
}

static const char schema[] = "{\"type\": \"object\", \"additionalProperties\": false}";

void exports_ecomm_notification_plugin_describe(ecomm_notification_types_manifest_t *ret) {
  memset(ret, 0, sizeof *ret);
  renderer_plugin_string_dup(&ret->name, "my-plugin");
  renderer_plugin_string_dup(&ret->version, "0.1.0");
  renderer_plugin_string_dup(&ret->description, "Plain text, in English.");
  renderer_plugin_string_dup(&ret->config_schema, schema);
}

bool exports_ecomm_notification_plugin_configure(string *config, ecomm_notification_types_config_error_t *err) {
  if (config->len == 2 && memcmp(config->ptr, "{}", 2) == 0) return true;
  renderer_plugin_string_dup(&err->pointer, "");
  renderer_plugin_string_dup(&err->message, "this renderer takes no config but {}");
  return false;
}

// The subject and the middle of the mail.
static void put_order(struct text *subject, struct text *text, ecomm_notification_types_order_t *order) {
  put(subject, "Order ");
  put_string(subject, order->number);
  put(subject, ": ");
  put_status(subject, order->status);
  for (size_t i = 0; i < order->lines.len; i++) {
    ecomm_notification_types_line_t *line = &order->lines.ptr[i];
    put(text, "\n%u x ", (unsigned)line->quantity);
    put_string(text, line->name);
    put(text, ": ");
    put_money(text, line->total);
  }
  put(text, "\n\nTotal: ");
  put_money(text, order->total);
}

bool exports_ecomm_notification_renderer_render(ecomm_notification_types_notification_t *n,
                                                exports_ecomm_notification_renderer_request_t *r,
                                                ecomm_notification_types_email_t *ret, string *err) {
  (void)err;
  struct text subject = {0}, text = {0};
  put(&text, "Hello ");
  put_string(&text, n->customer.name);
  put(&text, ",\n");
  if (n->subject.tag == ECOMM_NOTIFICATION_TYPES_SUBJECT_ORDER) {
    put_order(&subject, &text, &n->subject.val.order);
  } else {
    put(&subject, "News from ");
    put_string(&subject, n->shop.name);
    put(&text, "\n");
    put_string(&text, n->kind);
  }
  put(&text, "\n\n");
  put_string(&text, n->shop.name);
  put(&text, "\n");
  memset(ret, 0, sizeof *ret);
  ret->subject = (string){(uint8_t *)subject.bytes, subject.len};
  ret->text = (string){(uint8_t *)text.bytes, text.len};
  ecomm_notification_types_notification_free(n);
  exports_ecomm_notification_renderer_request_free(r);
  return true;
}
