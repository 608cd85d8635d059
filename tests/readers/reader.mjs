// Reads one JSON text a line and writes what JSON.parse makes of it.
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  try {
    console.log(JSON.stringify(JSON.parse(line)));
  } catch {
    console.log("NONE");
  }
}
