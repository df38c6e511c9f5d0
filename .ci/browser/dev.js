// The page of `ecomm plugin dev` in a real browser. node dev.js PROGRAM PROJECT
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { start } from "./browser.js";

const [program, project] = process.argv.slice(2);
const dev = spawn(program, ["plugin", "dev", project, "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
process.on("exit", () => dev.kill());
const lines = createInterface({ input: dev.stdout });
const address = await new Promise((is) => lines.once("line", (line) => is(line.split(" ")[0])));
const eyes = await start();
const { page, check } = eyes;
for (const event of ["order-placed", "order-shipped"]) {
  await page.goto(`${address}/#event=${event}`);
  await page.reload({ waitUntil: "load" });
  await page.waitForFunction(() => document.getElementById("state").textContent.includes("ready"), { timeout: 120_000 });
  await page.waitForFunction(() => document.body.innerText.includes("4242424242"), { timeout: 30_000 })
    .catch(() => eyes.fail(`the mail of ${event} is not shown`));
  await eyes.look(`dev, ${event}`);
}
check((await page.$$("iframe")).length > 0, "no mail is framed");
await eyes.close("dev");
