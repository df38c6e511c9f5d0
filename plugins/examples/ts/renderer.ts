// A renderer in TypeScript: plain text, in English.

type Money = { amount: bigint; currency: string; exponent: number };
type Status = { tag: string; val?: string };
type Line = { name: string; quantity: number; total: Money };
type Notification = {
  shop: { name: string };
  customer: { name: string };
  order: { number: string; status: Status; lines: Line[]; total: Money };
};

const config: Record<string, string> = { greeting: "Hello" };

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

export const renderer = {
  configure(text: string): void {
    for (const [key, value] of Object.entries(JSON.parse(text) as Record<string, string>)) {
      if (!(key in config)) throw `${key}: no such key`;
      config[key] = value;
    }
  },

  render({ order, customer, shop }: Notification) {
    const { tag, val } = order.status;
    const lines = order.lines.map((line) => `${line.quantity} x ${line.name}: ${amount(line.total)}`).join("\n");
    return {
      subject: `Order ${order.number}: ${tag === "other" ? val : tag}`,
      text: `${config.greeting} ${customer.name},\n\n${lines}\n\nTotal: ${amount(order.total)}\n\n${shop.name}\n`,
      html: undefined,
      fromName: undefined,
      replyTo: undefined,
      headers: [],
      attachments: [],
    };
  },
};
