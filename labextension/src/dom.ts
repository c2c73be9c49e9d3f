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

/** Foreign text in a box that scrolls, and that is therefore reached by keyboard. */
export function scrolled(text: string, label: string): HTMLElement {
  const pre = make("pre", "bv-pre", text);
  pre.tabIndex = 0;
  pre.setAttribute("role", "group");
  pre.setAttribute("aria-label", label);
  return pre;
}

/** The children of a node by key. Each keeps its node while it is there, and so its focus, its selection and what is open in it. */
export class Keyed<Item extends { readonly node: HTMLElement; stop?(): void }> {
  private readonly items = new Map<string, Item>();

  constructor(
    private readonly parent: HTMLElement,
    private readonly born: (key: string) => Item,
  ) {}

  /** One child for each value, in this order; `fill` draws it. */
  draw<Value>(values: readonly Value[], keyOf: (value: Value) => string, fill: (item: Item, value: Value) => void): void {
    const kept = new Set(values.map(keyOf));
    for (const [key, item] of this.items) {
      if (kept.has(key)) continue;
      item.stop?.();
      item.node.remove();
      this.items.delete(key);
    }
    values.forEach((value, at) => {
      const key = keyOf(value);
      const item = this.items.get(key) ?? this.born(key);
      this.items.set(key, item);
      fill(item, value);
      const place = this.parent.children[at] ?? null;
      if (place !== item.node) this.parent.insertBefore(item.node, place); // moving it would take the focus away
    });
  }
}

let ids = 0;

/** An id that no other view in this page has. */
export function fresh(name: string): string {
  ids += 1;
  return `burst-${name}-${ids}`;
}
