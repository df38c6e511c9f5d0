// A renderer in TypeScript: plain text, in English.

type Money = { amount: bigint; currency: string; exponent: number };
type Variant = { tag: string; val?: string };
type Line = { name: string; quantity: number; total: Money };
type Order = { number: string; status: Variant; lines: Line[]; total: Money };
type Subject = { tag: "order"; val: Order } | { tag: "account" | "product" | "other" };
type Notification = {
  kind: string;
  shop: { name: string };
  customer: { name: string };
  subject: Subject;
};

const config: Record<string, string> = { greeting: "Hello" };
const schema = {
  type: "object",
  additionalProperties: false,
  properties: { greeting: { description: "The first word of a mail.", type: "string", minLength: 1 } },
};

/** 19.99 USD: minor units, with as many decimals as the currency has. */
function amount({ amount, currency, exponent }: Money): string {
  // Whole numbers arrive as numbers or as bigints: their digits are the same.
  const text = String(amount);
  const sign = text.startsWith("-") ? "-" : "";
  const digits = text.slice(sign.length).padStart(exponent + 1, "0");
  const whole = digits.slice(0, digits.length - exponent);
  const part = exponent ? "." + digits.slice(digits.length - exponent) : "";
  return `${sign}${whole}${part} ${currency}`;
}

/** The subject and the middle of the mail. */
function told({ number, status, lines, total }: Order): [string, string] {
  const list = lines.map((line) => `${line.quantity} x ${line.name}: ${amount(line.total)}`).join("\n");
  const word = status.tag === "other" ? status.val : status.tag.replace("-", " ");
  return [`Order ${number}: ${word}`, `${list}\n\nTotal: ${amount(total)}`];
}

export const plugin = {
  describe: () => ({
    name: "typescript-example",
    version: "0.1.0",
    description: "Plain text, in English.",
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
  render({ kind, customer, shop, subject }: Notification) {
    const [title, middle] = subject.tag === "order" ? told(subject.val) : [`News from ${shop.name}`, kind];
    return {
      subject: title,
      text: `${config.greeting} ${customer.name},\n\n${middle}\n\n${shop.name}\n`,
      html: undefined,
      fromName: undefined,
      replyTo: undefined,
      headers: [],
      attachments: [],
      attributes: [],
    };
  },
};
