// A policy in TypeScript: what a shop may want to decide about its mails, each by a key of the config.

// Whole numbers of 64 bits arrive as numbers or as bigints, as the engine has it: `Number` takes both.
type Whole = number | bigint;
type Moment = { unixMs: Whole; utcOffsetMinutes: number };
type Variant = { tag: string; val?: string };
type Order = { number: string; status: Variant; newestStatus: Variant; total: Money; shipToCountry: string };
type Money = { amount: Whole; currency: string; exponent: number };
type Subject = { tag: "order"; val: Order } | { tag: "account" | "product" | "other" };
type Brief = { kind: string; customer: { id: Whole; timeZone: string }; subject: Subject };
type Failure = { failureClass: Variant; enhancedCode?: string | null; replyText: string; relay: string };
type Situation = {
  now: Moment;
  attempts: number;
  firstFailedAt?: Moment | null;
  relays: { name: string; available: boolean }[];
  domain: { throttledAt?: Moment | null };
  queued: unknown[];
  attributes: [string, string][];
};
type Report = { reportKind: Variant; enhancedCode?: string | null; reportText: string; relay: string };
type Holding = { reason: string; urgent: boolean };
type Sending = { relay?: string; abVariant?: string; attributes: [] };
type Admission =
  | { tag: "send"; val: Sending }
  | { tag: "wait"; val: Whole }
  | { tag: "hold"; val: Holding }
  | { tag: "merge" };
type Verdict =
  | { tag: "retry"; val: { afterMs: Whole; relay?: string; attributes: [] } }
  | { tag: "give-up"; val: string }
  | { tag: "hold"; val: Holding };
type Reaction =
  | { tag: "note" }
  | { tag: "resend"; val: { afterMs: Whole; relay?: string; attributes: [] } }
  | { tag: "suppress"; val: { reason: string; forMs?: Whole; allCategories: boolean; attributes: [] } };

import { civilTime, unixMs } from "ecomm:format/zone@1.0.0";

const integer = (minimum: number, maximum: number) => ({ type: "integer", minimum, maximum });
const schema = {
  type: "object",
  additionalProperties: false,
  properties: {
    quiet_hours: {
      description: "Hours of the customer's day in which no mail is sent, but those about the account; they may cross midnight.",
      type: "object",
      additionalProperties: false,
      required: ["from", "until"],
      properties: { from: integer(0, 23), until: integer(0, 23) },
    },
    domain_pause_ms: { description: "How long a domain is left alone after it throttled.", ...integer(0, 86_400_000) },
    merge_queued: { description: "Tell a change with the next one, where that is queued.", type: "boolean" },
    ab_variants: { description: "Of which each customer gets one.", type: "array", items: { type: "string" } },
    hold_above: { description: "By currency, in minor units.", type: "object", additionalProperties: integer(0, 1e12) },
    relays_by_country: { type: "object", additionalProperties: { type: "string" } },
    retry_permanent: { description: "Enhanced codes, or their beginnings.", type: "array", items: { type: "string" } },
    escalate_after_hours: integer(1, 72),
    attempts_max: integer(1, 25),
    resend_bounced: {
      description: "Enhanced codes, or their beginnings: what came back so is sent by another relay.",
      type: "array",
      items: { type: "string" },
    },
    suppress_bounced: {
      description: "For how many days an address gets no mails, by enhanced code or its beginning.",
      type: "object",
      additionalProperties: integer(1, 366),
    },
  },
};

let config: {
  quiet_hours?: { from: number; until: number };
  domain_pause_ms?: number;
  merge_queued?: boolean;
  ab_variants?: string[];
  hold_above?: Record<string, number>;
  relays_by_country?: Record<string, string>;
  retry_permanent?: string[];
  escalate_after_hours?: number;
  attempts_max?: number;
  resend_bounced?: string[];
  suppress_bounced?: Record<string, number>;
} = {};

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Milliseconds until the quiet hours end by the customer's clocks, whatever these do until then; 0 outside of them. */
function quietMs(nowMs: number, zone: string): number {
  if (!config.quiet_hours) return 0;
  const { from, until } = config.quiet_hours;
  const now = civilTime(whole(nowMs), zone);
  const isQuiet = from < until ? now.hour >= from && now.hour < until : now.hour >= from || now.hour < until;
  if (!isQuiet) return 0;
  const awake = { ...now, hour: until, minute: 0, second: 0 };
  const { year, month, day } = now;
  // There is no 32nd of a month, nor a 13th month.
  const days = now.hour < until ? [{}] : [{ day: day + 1 }, { month: month + 1, day: 1 }, { year: year + 1, month: 1, day: 1 }];
  for (const date of days) {
    const end = unixMs({ ...awake, ...date }, zone);
    if (end !== undefined && end !== null) return Math.max(1, Number(end) - nowMs);
  }
  return 0;
}

/** The engine's own kind of a whole number. */
let big = false;
const whole = (n: number): Whole => (big ? BigInt(n) : n);

function domainMs(s: Situation, nowMs: number): number {
  const throttled = s.domain.throttledAt;
  return throttled ? Math.max(0, Number(throttled.unixMs) + (config.domain_pause_ms ?? 0) - nowMs) : 0;
}

/** Spread evenly, and always the same for a customer. */
function variant(customer: Whole): string | undefined {
  const variants = config.ab_variants ?? [];
  return variants[Number((BigInt(customer) * 2654435761n) % BigInt(Math.max(1, variants.length)))];
}

const unhurried = (reason: string): Holding => ({ reason, urgent: false });
const retry = (afterMs: number, relay?: string): Verdict => ({
  tag: "retry",
  val: { afterMs: whole(afterMs), relay, attributes: [] },
});

const attribute = (s: Situation, wanted: string) => s.attributes.find(([name]) => name === wanted)?.[1];

/** A program reads it, not the customer. */
const isWebhook = (s: Situation) => attribute(s, "channel") === "webhook";

/** As Standard Webhooks suggests, within three days. */
const webhookRetriesMs = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 72_000].map((s) => s * 1_000);

/** A request that may have arrived is sent again: its receiver knows it by its id. */
function failedRequest(f: Failure, s: Situation): Verdict {
  if (f.failureClass.tag === "rejected") return { tag: "give-up", val: f.replyText };
  if (f.failureClass.tag === "throttled") return retry(1_000);
  const pauseMs = webhookRetriesMs[Math.max(0, s.attempts - 1)];
  return pauseMs ? retry(pauseMs) : { tag: "give-up", val: f.replyText };
}

// These say where an order stands and nothing else: the next one says it better.
const statusKinds = new Set([
  "order.placed",
  "order.partly-shipped",
  "order.shipped",
  "order.delivered",
  "order.cancelled",
]);

export const plugin = {
  describe: () => ({
    name: "my-plugin",
    version: "0.1.0",
    description: "Quiet hours, pauses, merged changes, variants, holds, relays by country.",
    locales: [],
    configSchema: JSON.stringify(schema),
    attributes: [],
  }),

  configure(text: string): void {
    config = JSON.parse(text);
  },
};

export const policy = {
  admit(b: Brief, s: Situation): Admission {
    big = typeof s.now.unixMs === "bigint";
    if (isWebhook(s)) return { tag: "send", val: { attributes: [] } };
    const nowMs = Number(s.now.unixMs);
    let relay: string | undefined;
    if (b.subject.tag === "order") {
      const order = b.subject.val;
      const most = config.hold_above?.[order.total.currency];
      if (most !== undefined && Number(order.total.amount) > most) {
        return { tag: "hold", val: unhurried(`order ${order.number} costs more than hold_above`) };
      }
      const wanted = config.relays_by_country?.[order.shipToCountry];
      // What was chosen after a failure is not chosen back.
      const isFree = attribute(s, "relay") === undefined;
      relay = s.relays.find(({ name, available }) => isFree && available && name === wanted)?.name;
    }
    if (config.merge_queued && statusKinds.has(b.kind) && s.queued.length > 0) return { tag: "merge" };
    // Whoever is to verify an address or set a password waits for the mail, whatever the hour.
    const nightMs = b.subject.tag === "account" ? 0 : quietMs(nowMs, b.customer.timeZone);
    const waitMs = nightMs || domainMs(s, nowMs);
    if (waitMs > 0) return { tag: "wait", val: whole(waitMs) };
    return { tag: "send", val: { relay, abVariant: variant(b.customer.id), attributes: [] } };
  },

  onFailure(b: Brief, f: Failure, s: Situation): Verdict {
    big = typeof s.now.unixMs === "bigint";
    if (isWebhook(s)) return failedRequest(f, s);
    const failingMs = s.firstFailedAt ? Number(s.now.unixMs) - Number(s.firstFailedAt.unixMs) : 0;
    const hours = config.escalate_after_hours;
    if (hours !== undefined && failingMs >= hours * HOUR_MS) {
      return { tag: "hold", val: { reason: `${b.kind} has been failing for ${hours} h: ${f.replyText}`, urgent: true } };
    }
    const other = s.relays.find(({ name, available }) => available && name !== f.relay)?.name;
    const isSpared = (config.retry_permanent ?? []).some((begin) => f.enhancedCode?.startsWith(begin));
    switch (f.failureClass.tag) {
      case "throttled":
        return retry(other ? 0 : 1_000, other);
      case "greylisted":
        return retry(300_000);
      case "render-failed":
        return { tag: "hold", val: unhurried(f.replyText) };
      case "rejected":
        if (!isSpared) return { tag: "give-up", val: f.replyText };
    }
    if (s.attempts >= (config.attempts_max ?? 3)) return { tag: "give-up", val: f.replyText };
    return retry(30_000 * 4 ** Math.max(0, s.attempts - 1));
  },
};

/** Whether an enhanced code is this one, or one of its kind: "5.7.1" begins with "5.7", and "5.71.1" does not. */
const begins = (code: string, start: string) => code === start || code.startsWith(start.endsWith(".") ? start : `${start}.`);

export const reports = {
  onReport(_: Brief, r: Report, s: Situation): Reaction {
    big = typeof s.now.unixMs === "bigint";
    if (r.reportKind.tag !== "bounced") return { tag: "note" };
    const code = r.enhancedCode ?? "";
    // The next in turn, so that each is tried before one is tried again.
    const at = s.relays.findIndex(({ name }) => name === r.relay) + 1;
    const others = [...s.relays.slice(at), ...s.relays.slice(0, at)];
    const other = others.find(({ name, available }) => available && name !== r.relay)?.name;
    const isResent = (config.resend_bounced ?? []).some((start) => begins(code, start));
    if (isResent && other && s.attempts < (config.attempts_max ?? 3)) {
      return { tag: "resend", val: { afterMs: whole(0), relay: other, attributes: [] } };
    }
    // The longest that fits says most of it.
    const suppressed = Object.entries(config.suppress_bounced ?? {}).filter(([start]) => begins(code, start));
    const [entry] = suppressed.sort(([a], [b]) => b.length - a.length);
    if (!entry) return { tag: "note" };
    const reason = `came back: ${code} ${r.reportText}`;
    return { tag: "suppress", val: { reason, forMs: whole(entry[1] * DAY_MS), allCategories: true, attributes: [] } };
  },
};
