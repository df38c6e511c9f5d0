// A browser that notices what nobody should see: violations of WCAG 2.2 AA (by axe-core), errors on a page's console, pages of 50 kB
// and sideways scrolling.
import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PAGE_BYTES_MAX = 50_000;
const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const wide = { width: 1280, height: 900 };
const narrow = { width: 375, height: 800 };

export const start = async (pictures, pictured = []) => {
  const failures = new Set();
  const fail = (what) => failures.add(what);
  const browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const page = await browser.newPage();
  await page.setViewport(wide);
  const eyes = { browser, page, fail, looked: 0, isExpected: () => false };
  page.on("pageerror", (error) => fail(`${page.url()}: ${error.message}`));
  page.on("console", (said) => {
    if (["error", "warn"].includes(said.type()) && !eyes.isExpected(said.text())) fail(`${page.url()}: ${said.text()}`);
  });
  page.on("response", async (answer) => {
    if (answer.request().resourceType() !== "document" || answer.request().frame() !== page.mainFrame()) return;
    if (answer.status() >= 500) fail(`${answer.url()}: ${answer.status()}`);
    const bytes = (await answer.buffer().catch(() => "")).length;
    if (bytes >= PAGE_BYTES_MAX) fail(`${answer.url()} has ${bytes} bytes`);
  });
  eyes.check = (is, what) => { if (!is) fail(what); };
  eyes.text = () => page.$eval("main", (main) => main.innerText);
  // What is closed is looked at as well.
  eyes.open = (is = true) => page.$$eval("details", (all, is) => all.forEach((one) => { one.open = is; }), is);
  // The page that is there, as everybody sees it. `without` are rules for what this page is not.
  eyes.look = async (name, { sizes = [narrow, wide], without = [] } = {}) => {
    await eyes.open();
    const options = { runOnly: WCAG, iframes: false, rules: Object.fromEntries(without.map((id) => [id, { enabled: false }])) };
    for (const scheme of ["light", "dark"]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      for (const size of sizes) {
        await page.setViewport(size);
        await page.evaluate(axe);
        const found = await page.evaluate((options) => window.axe.run(document, options), options);
        for (const { id, nodes } of found.violations) {
          fail(`${name}, ${scheme}, ${size.width} px: ${id}: ${nodes[0].html.slice(0, 160)}`);
        }
        const width = await page.evaluate(() => document.scrollingElement.scrollWidth);
        eyes.check(width <= size.width, `${name} scrolls sideways at ${size.width} px: it is ${width} px wide`);
        eyes.looked += 1;
      }
      if (pictures && scheme === "light" && pictured.includes(name)) {
        await eyes.open(false);
        mkdirSync(pictures, { recursive: true });
        await page.screenshot({ path: `${pictures}/${name.replaceAll(" ", "-")}.png` });
        await eyes.open();
      }
    }
  };
  // Says what was seen; the process ends with 1 where anything failed.
  eyes.close = async (what) => {
    await browser.close();
    for (const failure of failures) console.error(`${what}: ${failure}`);
    console.log(`${what}: ${eyes.looked} looks, ${failures.size} failures`);
    process.exit(failures.size ? 1 : 0);
  };
  return eyes;
};
