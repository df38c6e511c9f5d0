// A policy in JavaScript: give up on what was refused for good, else try again later and later.

const schema = {
  type: "object",
  additionalProperties: false,
  properties: {
    retry_ms: { description: "After this comes the first retry.", type: "integer", minimum: 1000, maximum: 3600000 },
    attempts_max: { type: "integer", minimum: 1, maximum: 25 },
  },
};
const config = { retry_ms: 30_000, attempts_max: 12 };
const RETRY_MS_MAX = 6 * 3_600_000;

export const plugin = {
  describe: () => ({
    name: "my-plugin",
    version: "0.1.0",
    description: "Retries that come later and later.",
    locales: [],
    configSchema: JSON.stringify(schema),
    attributes: [],
  }),

  configure(text) {
    Object.assign(config, JSON.parse(text));
  },
};

export const policy = {
  admit: () => ({ tag: "send", val: { attributes: [] } }),

  onFailure(brief, failure, situation) {
    const { failureClass, replyText } = failure;
    if (failureClass.tag === "render-failed") return { tag: "hold", val: { reason: replyText, urgent: false } };
    if (failureClass.tag === "rejected" || situation.attempts >= config.attempts_max) {
      return { tag: "give-up", val: replyText };
    }
    const ms = Math.min(RETRY_MS_MAX, config.retry_ms * 2 ** Math.max(0, situation.attempts - 1));
    // Whole numbers of 64 bits are numbers or bigints, as the engine has it.
    const afterMs = typeof situation.now.unixMs === "bigint" ? BigInt(ms) : ms;
    return { tag: "retry", val: { afterMs, attributes: [] } };
  },
};
