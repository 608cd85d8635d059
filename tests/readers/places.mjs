// Reads one JSON array a line, [kind, text, inside], and says of each text where Node's readers disagree that it is inside
// (or outside) of the folder or site: one JSON array a line, [text, reader, place]. The last line is how often each reader was asked.
import { createInterface } from "node:readline";
import path from "node:path";

const FOLDER = "/srv/data";
const tried = {};

const attempt = (read, text) => {
  try {
    return read(text);
  } catch {
    return undefined; // Who does not read it goes nowhere.
  }
};

const once = (text) => (text === undefined ? undefined : attempt(decodeURIComponent, text));
const TEXTS = {
  "as it stands": (text) => text,
  "decoded": once,
  "decoded twice": (text) => once(once(text)),
  "trimmed": (text) => text.trim(),
  "NFKC": (text) => text.normalize("NFKC"),
  "NFKC, decoded": (text) => once(text.normalize("NFKC")),
  "decoded, NFKC": (text) => once(text)?.normalize("NFKC"),
  "decoded, trimmed names": (text) => once(text)?.split("/").map((name) => name.trim()).join("/"),
};
const win = (place) => place.replaceAll("\\", "/").replace(/^C:/, "");
const PLACES = {
  "path.posix.normalize": (text) => path.posix.normalize(text),
  "path.posix.resolve": (text) => path.posix.resolve("/", text),
  "path.win32.normalize": (text) => win(path.win32.normalize(text)),
  "path.win32.resolve": (text) => win(path.win32.resolve("C:\\", text)),
  "path.win32.join by names": (text) =>
    win(text.split("/").slice(1).reduce((place, name) => path.win32.resolve(place, name), "C:\\")),
  "URL of a file": (text) => attempt(() => decodeURIComponent(new URL(`file://${text}`).pathname)),
  "URL from the folder": (text) => attempt(() => decodeURIComponent(new URL(text, "file:///srv/data/").pathname)),
};

const below = (place, folder) => place === folder || place.startsWith(`${folder}/`);
const clean = (place) => (place.length > 1 ? place.replace(/\/+$/, "") : place);

function* paths(text) {
  for (const [how, read] of Object.entries(TEXTS)) {
    const seen = read(text);
    if (seen === undefined) continue;
    for (const [reader, find] of Object.entries(PLACES)) {
      const place = find(seen);
      if (place !== undefined) yield [`${reader}, ${how}`, place, below(clean(place), FOLDER)];
    }
  }
}

function* urls(text) {
  for (const [how, read] of Object.entries({ "as it stands": (text) => text, trimmed: (text) => text.trim() })) {
    const url = attempt((text) => new URL(text), read(text));
    if (url === undefined) continue;
    const site = url.protocol === "https:" && url.host === "api.example.com" && url.username === "" && url.password === "";
    for (const [seen, decode] of Object.entries(TEXTS)) {
      const found = decode(url.pathname);
      if (found === undefined) continue;
      for (const reader of ["path.posix.normalize", "path.win32.normalize"]) {
        const place = PLACES[reader](found);
        yield [`URL, ${how}, ${seen}, ${reader}`, `${url.host} ${place}`, site && below(clean(place), "/v1")];
      }
    }
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const [kind, text, inside] = JSON.parse(line);
  for (const [reader, place, found] of kind === "path" ? paths(text) : urls(text)) {
    tried[reader] = (tried[reader] ?? 0) + 1;
    if (found !== inside) console.log(JSON.stringify([text, reader, place]));
  }
}
console.log(JSON.stringify(tried));
