// A renderer in JavaScript: every mail as plain text and as HTML, in English.

import { date, escapeHtml, money } from "ecomm:format/text@1.0.0";
import { civilTime } from "ecomm:format/zone@1.0.0";

const schema = {
  type: "object",
  additionalProperties: false,
  properties: { greeting: { description: "The first word of a mail.", type: "string", minLength: 1 } },
};
const config = { greeting: "Hello" };

const sum = ({ amount, currency, exponent }) => money("en", amount, currency, exponent);

/** October 24, 2026 */
function dayOf(moment, timeZone) {
  const { year, month, day } = civilTime(moment.unixMs, timeZone);
  return date("en", { year, month, day }, "long");
}

/** The subject, and the paragraphs between the greeting and the signature. */
function told({ kind, shop, customer, subject }) {
  const { tag, val } = subject;
  switch (tag) {
    case "order": {
      const status = (val.status.val ?? val.status.tag).replaceAll("-", " ");
      const lines = val.lines.map((line) => `${line.quantity} x ${line.name}: ${sum(line.total)}`);
      const placed = `Your order ${val.number} of ${dayOf(val.placedAt, customer.timeZone)}:`;
      const note = val.note ? [val.note] : [];
      return [`Order ${val.number}: ${status}`, [placed, ...lines, ...note, `Total: ${sum(val.total)}`]];
    }
    case "account":
      return [`Your account at ${shop.name}`, [val.email, ...(val.link ? [`Continue: ${val.link.url}`] : [])]];
    case "product":
      return [`${val.name} is back in stock`, [`${val.name}: ${sum(val.price)}`, ...(val.url ? [val.url] : [])]];
    default:
      return [`News from ${shop.name}`, [kind]];
  }
}

export const plugin = {
  describe: () => ({
    name: "my-plugin",
    version: "0.1.0",
    description: "Text and HTML, in English.",
    locales: ["en"],
    configSchema: JSON.stringify(schema),
    attributes: [],
  }),

  configure(text) {
    Object.assign(config, JSON.parse(text));
  },
};

export const renderer = {
  render(n) {
    const [subject, middle] = told(n);
    const stop = n.unsubscribeUrl ? [`Unsubscribe: ${n.unsubscribeUrl}`] : [];
    const all = [`${config.greeting} ${n.customer.name},`, ...middle, n.shop.name, ...stop];
    const paragraphs = all.map((paragraph) => `<p>${escapeHtml(paragraph)}</p>\n`).join("");
    const head = `<meta charset="utf-8"><title>${escapeHtml(subject)}</title>`;
    return {
      subject,
      text: `${all.join("\n\n")}\n`,
      html: `<!doctype html>\n<html lang="en"><head>${head}</head>\n<body>\n${paragraphs}</body></html>\n`,
      headers: [],
      attachments: [],
      attributes: [],
    };
  },
};
