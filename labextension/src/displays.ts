// What a task displayed. It is foreign: pictures are images, and HTML is the document of a frame that may run no script,
// load nothing, send nothing and leave for nowhere.

import { make, scrolled } from "./dom.js";
import type { DisplayView } from "./frame.js";

// The first child of the document: what follows cannot widen it.
const POLICY = "default-src 'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline'";
const STYLE =
  "body { margin: 8px; color: #111; background: #fff; font: 13px/1.45 system-ui, sans-serif } " +
  "table { border-collapse: collapse; font-size: 12px } th, td { padding: 2px 8px; text-align: right } " +
  "tr:nth-child(even) { background: #f5f5f5 }";
const TURNS = 20; // of reading and writing; a reading drops the empty first line of a <pre>, for instance

/** The document of a frame that shows foreign HTML. Its links open nowhere: new windows are not allowed to it. */
export function frameDocument(html: string): string {
  let text = documentOf(html);
  // Some text is read as other nodes once it was written anew: what is shown has been read as it will be.
  for (let turn = 0; turn < TURNS; turn += 1) {
    const next = linkedOutside(text);
    if (next === text) return text;
    text = next;
  }
  return documentOf(`<pre>${html.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</pre>`);
}

function documentOf(body: string): string {
  const head = `<meta http-equiv="Content-Security-Policy" content="${POLICY}"><style>${STYLE}</style>`;
  return `<!DOCTYPE html><html><head>${head}</head><body>${body}</body></html>`;
}

/** A document whose links lead to new windows, those of drawings too: in the same frame, another page would stand in the task's name. */
function linkedOutside(text: string): string {
  const parsed = new DOMParser().parseFromString(text, "text/html"); // nothing runs or loads in it
  const clean = (part: ParentNode): void => {
    for (const node of part.querySelectorAll("a, area, [target]")) node.setAttribute("target", "_blank");
    for (const { content } of part.querySelectorAll("template")) clean(content);
  };
  clean(parsed);
  // eslint-disable-next-line no-restricted-properties -- it is read, for a frame's own document
  return `<!DOCTYPE html>${parsed.documentElement.outerHTML}`;
}

/** A node that shows one object. */
export function displayed(view: DisplayView, task: number): HTMLElement {
  const words = `Displayed by task ${task}: ${view.words}`;
  if (view.mime === "text/html") {
    const frame = make("iframe", "bv-frame");
    frame.setAttribute("sandbox", ""); // before its document: nothing is allowed
    frame.referrerPolicy = "no-referrer";
    frame.title = words;
    frame.srcdoc = frameDocument(view.data);
    return frame;
  }
  if (view.mime.startsWith("image/")) {
    const image = make("img", "bv-image");
    // An SVG in an image runs no script and loads nothing.
    const data = view.mime === "image/svg+xml" ? `,${encodeURIComponent(view.data.replace(/\p{Surrogate}/gu, "\ufffd"))}` : `;base64,${view.data}`;
    image.src = `data:${view.mime}${data}`;
    image.alt = words;
    return image;
  }
  return scrolled(view.data, words);
}
