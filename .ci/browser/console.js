// The console in a real browser: every page and act, by light and dark, wide and narrow.
// node console.js http://127.0.0.1:8080 COMPONENT [FOLDER FOR PICTURES]
import { start } from "./browser.js";

const [base, component, pictures] = process.argv.slice(2);
const password = "a long password";

const api = async (method, path, token, body) => {
  const headers = { "content-type": "application/json", ...(token && { authorization: "Bearer " + token }) };
  const answer = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? null : answer.json();
};
const logIn = async (email) => (await api("POST", "/v1/sessions", "", { email, password })).access_token;

const eyes = await start(pictures, ["overview", "sent notification", "revision"]);
const { browser, page, check, text, open } = eyes;

const look = async (path, name) => {
  if (path) await page.goto(base + path, { waitUntil: "load" });
  await eyes.look(name);
};
// Fills in a form and sends it by its button.
const act = async (button, fields = {}) => {
  await open();
  const form = await page.evaluateHandle((words) => {
    const buttons = [...document.querySelectorAll("main button")];
    return buttons.find((button) => button.innerText === words)?.closest("form");
  }, button);
  if (!form.asElement()) throw new Error(`${page.url()} has no button "${button}": ${await text()}`);
  for (const [name, value] of Object.entries({ why: "looked at by a browser", ...fields })) {
    await form.asElement().$eval(`[name="${name}"]`, (input, value) => {
      if (input.type === "checkbox") input.checked = value;
      else { input.value = value; input.dispatchEvent(new Event("input", { bubbles: true })); }
    }, value);
  }
  const [answer] = await Promise.all([
    page.waitForNavigation({ timeout: 60_000 }),
    form.asElement().$$eval("button", (buttons, words) => buttons.find((b) => b.innerText === words).click(), button),
  ]);
  return answer;
};
const until = async (what, is) => {
  for (let n = 0; n < 120; n += 1) {
    if (await is()) return;
    await new Promise((go) => setTimeout(go, 500));
    await page.reload();
  }
  throw new Error(`${what} did not come about: ${await text()}`);
};

// Somebody who is not logged in sees nothing but the log-in, and comes back to where they wanted to go.
await look("/console/notifications", "log-in");
const enter = async (email, word) => {
  if (!await page.$("[name=email]")) throw new Error(`${page.url()} asks nobody who they are: ${await text()}`);
  await page.type("[name=email]", email);
  await page.type("[name=password]", word);
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
};
eyes.isExpected = (said) => said.includes("401");
await enter("admin@shop.example", "a wrong password");
check((await text()).includes("is wrong"), "a wrong password is not said to be wrong");
eyes.isExpected = () => false;
await page.goto(base + "/console/notifications");
await enter("admin@shop.example", password);
check(page.url() === base + "/console/notifications", `the log-in leads to ${page.url()}`);

// A shop with a customer and a product; the product by the console.
const admin = await logIn("admin@shop.example");
await look("/console/products", "products");
await act("Add", { sku: "CUP", name: "Cup", amount: "1999", currency: "EUR", stock: "100" });
await look("", "product");
await act("Change", { name: "Large cup", amount: "2099", stock: "90" });
check((await text()).includes("20.99 EUR"), "a product was not changed");
const product = Number(page.url().split("/").pop());
await api("POST", "/v1/users", "", { email: "ada@example.com", name: "Ada", password, locale: "en" });
const ada = await logIn("ada@example.com");
const place = () => api("POST", "/v1/orders", ada, { items: [{ product_id: product, quantity: 2 }] });

// The queue is paused; one mail is held, released, cancelled and tried again; then it goes.
await page.goto(base + "/console");
await page.keyboard.press("Tab");
check(await page.evaluate(() => document.activeElement.className) === "skip", "the first stop of the keyboard is not the way to the content");
await act("Pause this part");
check((await text()).includes("relay mailbox is paused"), "the pause of a relay is not shown");
await look("", "a part is paused");
await act("Resume relay mailbox");
check(!(await text()).includes("is paused"), "the relay is still paused");
await act("Pause");
check((await text()).includes("The queue is paused"), "the pause is not shown");
await place();
await look("/console/notifications?state=not+sent", "notifications");
await page.click("tbody a");
await page.waitForSelector(".timeline");
const notification = page.url();
await look("", "queued notification");
await act("Hold");
check((await text()).includes("held"), "it was not held");
await act("Release");
// All that match: counted, done, and followed without a reload.
await page.goto(base + "/console/notifications?state=not+sent");
await Promise.all([page.waitForNavigation(), page.click('nav[aria-label="All that match"] a[href*="act=hold"]')]);
check((await text()).includes("1 notification matches"), `they are not counted: ${await text()}`);
await look("", "all that match");
await act("Hold all");
await page.waitForFunction(() => document.querySelector("#operation .badge").innerText === "succeeded", { timeout: 20_000 });
check((await text()).includes("1 done, 0 refused of 1 that matched"), `it was not held: ${await text()}`);
await look("", "operation on notifications");
await look("/console/notifications/operations", "operations on notifications");
await page.goto(notification);
await act("Release");
await act("Cancel");
check((await text()).includes("failed"), "it was not cancelled");
await look("", "failed notification");
await act("Try again");
await page.goto(base + "/console");
await act("Resume the queue");
await page.goto(notification);
await until("a sent mail", async () => (await page.$eval("h1", (h1) => h1.innerText)).includes("sent"));
await look("", "sent notification");
check((await text()).includes("byte for byte"), "the mail is not said to be the same");
const frames = await Promise.all((await page.$$("iframe")).map((frame) => frame.contentFrame()));
const mails = await Promise.all(frames.map((frame) => frame.evaluate(() => document.body.innerText)));
check(mails.length === 3 && mails.every((mail) => mail.includes("Large cup")), `the mail is not shown: ${mails}`);
await page.goto(base + "/console", { waitUntil: "load" });
// What is there is replaced by what comes.
await page.$eval("#live .tile", (tile) => { tile.id = "before"; });
await page.waitForFunction(() => document.querySelector("#live .tile") && !document.getElementById("before"), { timeout: 15_000 });
await look("", "overview");

// The same without script: what is there can be read.
await page.setJavaScriptEnabled(false);
await page.goto(notification);
check((await text()).includes("The order changed"), "without script there is no timeline");
await page.setJavaScriptEnabled(true);

// A component of another author, and another config of the built-in; previewed, replayed, staged, rolled back.
await page.goto(base + "/console/plugins");
await (await page.$("[data-upload]")).uploadFile(component);
await act("Take through the gate");
await until("an installed component", async () => (await page.$$eval("tbody tr", (rows) => rows.map((row) => row.innerText))).some((row) => row.includes("ready")));
await act("Take through the gate", { config: '{"from_name": "Spring"}', from: "built-in" });
await until("two revisions", async () => (await text()).match(/\bready\b/g)?.length >= 2);
await look("/console/plugins", "plugins");
const revisions = await page.$$eval('[aria-label="Revisions"] tbody th a', (links) => links.map((link) => link.href));
await page.goto(revisions[0]);
await page.goto(`${revisions[0]}/preview?notification=${notification.split("/").pop()}`, { waitUntil: "load" });
await look("", "preview");
await page.goto(revisions[0]);
await act("Replay", { last: "100" });
await until("a replay", async () => (await text()).includes("events beside revision"));
await look("", "revision");
await act("Shadow");
await act("Canary", { percent: "50", steps: "100" });
await place();
await act("Activate");
check((await page.$eval("h1", (h1) => h1.innerText)).includes("active"), "it does not serve");
await act("Roll back");
check(!(await page.$eval("h1", (h1) => h1.innerText)).includes("active"), "it was not rolled back");

// The shop.
await look("/console/orders", "orders");
await page.click("tbody a");
await page.waitForSelector("dl");
await act("Mark as shipped", { carrier: "Post", number: "42" });
check((await text()).includes("Post 42"), "the parcel is not shown");
await look("", "order");
await look("/console/users", "users");
await page.goto(base + "/console/users/2");
await act("Change the role", { role: "viewer" });
await look("", "user");

// Addresses that get no more mails.
await page.goto(base + "/console/suppressions");
await act("Suppress", { address: "bob@example.com", category: "marketing", cause: "unsubscribed" });
check((await text()).includes("bob@example.com"), "the address is not suppressed");
await look("/console/suppressions?cause=unsubscribed", "suppressions");
await act("Lift");
check(!(await text()).includes("bob@example.com"), "the address is still suppressed");

// Endpoints of webhooks.
await page.goto(base + "/console/webhooks");
await act("Add", { url: "https://erp.shop.example/hooks", description: "the ERP" });
check((await text()).includes("whsec_"), "the secret is not shown");
await act("Pause");
check((await text()).includes("paused"), "the endpoint is not paused");
await look("", "webhook");
await look("/console/webhooks", "webhooks");

// Two at once: who was slower is told so, and nothing is done.
const second = await browser.newPage();
await page.goto(base + "/console/products/" + product);
await second.goto(base + "/console/products/" + product);
await act("Change", { stock: "80" });
await second.$eval("[name=why]", (input) => { input.value = "also"; });
await Promise.all([second.waitForNavigation(), second.click("main form button")]);
check((await second.$eval("main", (main) => main.innerText)).includes("somebody else was faster"), "a stale form was taken");
await second.close();

// All of it is on record.
await look("/console/audit", "audit");
const acts = await text();
for (const done of ["hold-matching", "create-product", "update-product", "pause-queue", "resume-queue", "hold-notification", "retry-notification",
  "cancel-notification", "install", "replay", "shadow", "canary", "activate", "roll-back", "mark-shipped", "role-viewer", "suppress", "lift-suppression"]) {
  check(acts.includes(done), `${done} is not on record`);
}

// A viewer looks, and has nothing to press.
await Promise.all([page.waitForNavigation(), page.click("header form button")]);
check(page.url().startsWith(base + "/console/login"), `after the log-out comes ${page.url()}`);
await enter("ada@example.com", password);
await page.goto(notification);
check((await page.$$("main form")).length === 0, "a viewer is offered acts");
eyes.isExpected = (said) => said.includes("403");
await page.goto(base + "/console/orders");
check((await text()).includes("may not do this"), "a viewer sees the orders");

await eyes.close("console");
