// A renderer in TypeScript: every mail of a shop, as plain text in English.

import { date, money } from "ecomm:format/text@1.0.0";
import { civilTime } from "ecomm:format/zone@1.0.0";

// Whole numbers of 64 bits arrive as numbers or as bigints, as the engine has it; absent values as null or undefined.
type Whole = number | bigint;
type Maybe<T> = T | null | undefined;
type Money = { amount: Whole; currency: string; exponent: number };
type Moment = { unixMs: Whole; utcOffsetMinutes: number };
type Link = { url: string; expiresAt: Maybe<Moment> };
type Variant = { tag: string; val?: string };
type Line = { number: number; name: string; quantity: number; discount: Money; total: Money };
type Part = { lineNumber: number; quantity: number };
type Shipment = { sinceVersion: number; carrier: string; trackingNumber: string; trackingUrl: Maybe<string>; parts: Part[] };
type Refund = { sinceVersion: number; amount: Money; reason: string };
type Invoice = { number: string; issuedAt: Moment; sellerVatId: string; buyerVatId: string; link: Maybe<Link> };
type Order = {
  number: string;
  version: number;
  status: Variant;
  lines: Line[];
  discounts: { label: string; code: Maybe<string>; amount: Money }[];
  shipping: Money;
  taxes: { label: string; net: Money; amount: Money }[];
  pricesIncludeTax: boolean;
  total: Money;
  payment: { due: Maybe<Money>; link: Maybe<Link>; failure: Maybe<string> };
  shipments: Shipment[];
  refunds: Refund[];
  invoice: Maybe<Invoice>;
  giftMessage: Maybe<string>;
  note: Maybe<string>;
  cancelReason: Maybe<string>;
};
type Account = { email: string; link: Maybe<Link> };
type Product = { name: string; price: Money; url: Maybe<string> };
type Subject =
  | { tag: "order"; val: Order }
  | { tag: "account"; val: Account }
  | { tag: "product"; val: Product }
  | { tag: "other"; val: string };
type Notification = {
  kind: string;
  shop: { name: string; supportEmail: string };
  customer: { name: string; timeZone: string };
  subject: Subject;
  merged: { kind: string; occurredAt: Moment; note: Maybe<string> }[];
  unsubscribeUrl: Maybe<string>;
  preferencesUrl: Maybe<string>;
};

const config: Record<string, string> = { greeting: "Hello" };
const schema = {
  type: "object",
  additionalProperties: false,
  properties: { greeting: { description: "The first word of a mail.", type: "string", minLength: 1 } },
};

const sum = ({ amount, currency, exponent }: Money) => money("en", amount, currency, exponent);
const isSome = (m: Money) => Number(m.amount) !== 0;

/** "Continue: https://… (until October 26, 2026)" */
function linked(label: string, link: Maybe<Link>, day: (at: Moment) => string): string[] {
  if (!link) return [];
  return [`${label}: ${link.url}${link.expiresAt ? ` (until ${day(link.expiresAt)})` : ""}`];
}

/** What is news of an order, by the kind of the notification. */
function news(kind: string, o: Order, day: (at: Moment) => string): string[] {
  const isNew = ({ sinceVersion }: { sinceVersion: number }) => sinceVersion === o.version;
  const parts = (s: Shipment) =>
    s.parts.map((p) => `  ${p.quantity} x ${o.lines.find(({ number }) => number === p.lineNumber)?.name}`);
  switch (kind) {
    case "order.partly-shipped":
    case "order.shipped":
      return o.shipments
        .filter(isNew)
        .flatMap((s) => [[s.carrier, s.trackingNumber, s.trackingUrl].filter(Boolean).join(" "), ...parts(s)]);
    case "order.cancelled":
      return o.cancelReason ? [o.cancelReason] : [];
    case "order.refunded":
      return o.refunds.filter(isNew).map((r) => `We return ${sum(r.amount)}. ${r.reason}`.trim());
    case "order.payment-failed":
      return [
        ...(o.payment.failure ? [o.payment.failure] : []),
        ...(o.payment.due ? [`To be paid: ${sum(o.payment.due)}`] : []),
        ...linked("Pay", o.payment.link, day),
      ];
    case "order.invoiced": {
      if (!o.invoice) return [];
      const { number, issuedAt, sellerVatId, buyerVatId, link } = o.invoice;
      const ids = [sellerVatId && `Our VAT ID: ${sellerVatId}`, buyerVatId && `Your VAT ID: ${buyerVatId}`];
      return [`Invoice ${number} of ${day(issuedAt)}`, ...ids.filter(Boolean), ...linked("Download", link, day)];
    }
    default:
      return [];
  }
}

/** The subject and the middle of an order's mail. */
function ordered(kind: string, o: Order, day: (at: Moment) => string): [string, string[]] {
  const word = o.status.tag === "other" ? o.status.val : o.status.tag.replace("-", " ");
  const less = (m: Money) => (isSome(m) ? ` (less ${sum(m)})` : "");
  const taxes = o.taxes.map((t) => `${t.label} of ${sum(t.net)}: ${sum(t.amount)}`);
  return [
    `Order ${o.number}: ${word}`,
    [
      ...news(kind, o, day),
      ...(o.note ? [o.note] : []),
      ...o.lines.map((line) => `${line.quantity} x ${line.name}: ${sum(line.total)}${less(line.discount)}`),
      ...o.discounts.map((d) => `${d.label}${d.code ? ` (${d.code})` : ""}: -${sum(d.amount)}`),
      ...(isSome(o.shipping) ? [`Shipping: ${sum(o.shipping)}`] : []),
      ...(o.pricesIncludeTax ? [] : taxes),
      `Total: ${sum(o.total)}`,
      ...(o.pricesIncludeTax ? taxes.map((tax) => `In it ${tax}`) : []),
      ...(o.giftMessage ? [`Your gift message: ${o.giftMessage}`] : []),
    ],
  ];
}

/** The subject and the middle of any mail. */
function told({ kind, shop, customer, subject }: Notification): [string, string[]] {
  const day = ({ unixMs }: Moment) => date("en", civilTime(unixMs, customer.timeZone), "long");
  switch (subject.tag) {
    case "order":
      return ordered(kind, subject.val, day);
    case "account": {
      const titles: Record<string, string> = {
        "account.verify-email": `Please confirm ${subject.val.email}`,
        "account.reset-password": "Choose a new password",
        "account.password-changed": "Your password was changed",
      };
      const title = titles[kind] ?? `News of your account at ${shop.name}`;
      return [title, [`${title}.`, ...linked("Continue", subject.val.link, day)]];
    }
    case "product": {
      const { name, price, url } = subject.val;
      return [`${name} is back`, [`${name} can be had again for ${sum(price)}.`, ...(url ? [url] : [])]];
    }
    default:
      return [`News from ${shop.name}`, [kind]];
  }
}

export const plugin = {
  describe: () => ({
    name: "my-plugin",
    version: "0.1.0",
    description: "Every mail of a shop, as plain text in English.",
    locales: ["en"],
    configSchema: JSON.stringify(schema),
    attributes: [],
  }),

  configure(text: string): void {
    for (const [key, value] of Object.entries(JSON.parse(text) as Record<string, string>)) {
      if (!(key in config)) throw { pointer: `/${key}`, message: "no such key" };
      config[key] = value;
    }
  },
};

export const renderer = {
  render(n: Notification) {
    const { customer, shop, merged, unsubscribeUrl, preferencesUrl } = n;
    const day = ({ unixMs }: Moment) => date("en", civilTime(unixMs, customer.timeZone), "long");
    const [subject, middle] = told(n);
    const earlier = merged.map((m) => `Since ${day(m.occurredAt)}: ${m.kind}${m.note ? ` - ${m.note}` : ""}`);
    const choices = [
      ...(preferencesUrl ? [`Choose your mails: ${preferencesUrl}`] : []),
      ...(unsubscribeUrl ? [`Unsubscribe: ${unsubscribeUrl}`] : []),
    ];
    const blocks = [`${config.greeting} ${customer.name},`, earlier.join("\n"), middle.join("\n"), shop.name, choices.join("\n")];
    return {
      subject,
      text: blocks.filter(Boolean).join("\n\n") + "\n",
      html: undefined,
      fromName: undefined,
      replyTo: undefined,
      headers: [],
      attachments: [],
      attributes: [],
    };
  },
};
