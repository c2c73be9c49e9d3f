// Nodes with text. Foreign text only ever goes through textContent.

/** A new element with a class and text. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className = "",
  text = "",
): HTMLElementTagNameMap[Tag] {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

/** A push button that submits nothing. */
export function button(className: string, text: string, onClick: () => void): HTMLButtonElement {
  const node = make("button", className, text);
  node.type = "button";
  node.addEventListener("click", onClick);
  return node;
}

/** Sets text only if it differs: an unchanged node keeps the reader's selection. */
export function say(node: HTMLElement, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

let ids = 0;

/** An id that no other view in this page has. */
export function fresh(name: string): string {
  ids += 1;
  return `burst-${name}-${ids}`;
}
