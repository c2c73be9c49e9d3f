// Takes addresses out of package-lock.json after npm has written it: which registry it was, and who asks for funding.
import { readFileSync, writeFileSync } from "node:fs";

const FILE = new URL("package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(FILE, "utf8"));
for (const each of Object.values(lock.packages)) {
  delete each.funding;
  delete each.resolved;
}
writeFileSync(FILE, `${JSON.stringify(lock, null, 2)}\n`);
