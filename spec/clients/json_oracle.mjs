// Reads texts, one a line in hexadecimal, and says of each whether JSON.parse takes it, and as what: "-" or a
// form without freedom (numbers as the bits of the double, strings in hexadecimal, members sorted).
import fs from "node:fs";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const hex = (text) => Buffer.from(text, "utf8").toString("hex");

function form(value) {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new Error("lone surrogate"); // RFC 8259 section 8.2: unpredictable; refused here
    return "s" + hex(value);
  }
  if (typeof value === "number") {
    const bits = Buffer.alloc(8);
    bits.writeDoubleBE(value);
    return "n" + bits.toString("hex");
  }
  if (Array.isArray(value)) return "[" + value.map(form).join(",") + "]";
  const members = Object.entries(value).map(([key, member]) => form(key) + ":" + form(member));
  return "{" + members.sort().join(",") + "}";
}

const lines = fs.readFileSync(process.argv[2], "latin1").split("\n").slice(0, -1);
const out = lines.map((line) => {
  try {
    return form(JSON.parse(decoder.decode(Buffer.from(line, "hex"))));
  } catch {
    return "-";
  }
});
process.stdout.write(out.join("\n") + "\n");
