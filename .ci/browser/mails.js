// The default mails in a real browser: every one in English, and those of most content in every other language.
// node mails.js ECOMM FOLDER FOR PAGES [FOLDER FOR PICTURES]
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { start } from "./browser.js";

const [program, folder, pictures] = process.argv.slice(2);
const events = readdirSync("plugins/events").map((file) => file.replace(".json", "")).sort();
const languages = ["ar", "de", "es", "fr", "it", "ja", "nl", "pl", "pt", "pt-br", "sv", "zh"];
const fullest = ["order-digest", "order-invoiced", "account-new-log-in"];
const sizes = [{ width: 375, height: 700 }, { width: 800, height: 700 }];
// A mail is shown within a page that has its landmarks.
const without = ["landmark-one-main", "region"];

const eyes = await start();
const { page, check } = eyes;
// Nothing is fetched from elsewhere: a picture of a product is a square.
const square = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path fill="#99a" d="M0 0h1v1H0z"/></svg>';
await page.setRequestInterception(true);
page.on("request", (asked) => {
  if (asked.url().startsWith("file:")) asked.continue();
  else if (asked.resourceType() === "image") asked.respond({ contentType: "image/svg+xml", body: square });
  else { check(false, `a mail asks for ${asked.url()}`); asked.abort(); }
});

const show = async (event, language) => {
  const html = resolve(folder, `${event}-${language}.html`);
  const asked = ["plugin", "render", "--slot", "renderer", "--event", event, "--locale", language, "--html", html];
  execFileSync(resolve(program), asked, { cwd: folder });
  await page.goto(pathToFileURL(html).href, { waitUntil: "load" });
};
const picture = async (name, width, scheme) => {
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.setViewport({ width, height: 300 });
  await page.screenshot({ path: `${pictures}/${name}.webp`, type: "webp", quality: 60, fullPage: true });
};

for (const event of events) {
  for (const language of ["en", ...(fullest.includes(event) ? languages : [])]) {
    await show(event, language);
    await eyes.look(`${event} in ${language}`, { sizes, without });
    const preheader = await page.$eval("body > div", (first) => first.getBoundingClientRect().height);
    check(preheader === 0, `${event} in ${language} shows its preheader`);
    if (pictures && (language === "en" || (language === "ar" && event === "order-invoiced"))) {
      mkdirSync(pictures, { recursive: true });
      const name = language === "en" ? event : `${event}-${language}`;
      await picture(name, 680, "light");
      await picture(`${name}-dark`, 375, "dark");
    }
  }
}
await eyes.close("mails");
