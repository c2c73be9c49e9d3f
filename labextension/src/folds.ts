// Sections behind buttons that stand in one row, so that opening one moves none of the others' buttons.

import { button, fresh, make, say } from "./dom.js";

export interface Fold {
  readonly body: HTMLElement;
  /** The button's text, such as `Workers 2 of 2`. */
  title(text: string): void;
  readonly isOpen: boolean;
}

export class Folds {
  readonly node = make("div", "bv-folds");
  private readonly row = make("div", "bv-fold-row");

  constructor() {
    this.node.append(this.row);
  }

  add(name: string, onOpen: () => void): Fold {
    const body = make("div", `bv-fold bv-fold-${name.toLowerCase()}`);
    body.id = fresh(name.toLowerCase());
    body.hidden = true;
    const word = make("span", "", name);
    const knob = button("bv-knob", "", () => {
      body.hidden = !body.hidden;
      knob.setAttribute("aria-expanded", String(!body.hidden));
      if (!body.hidden) onOpen();
    });
    knob.setAttribute("aria-expanded", "false");
    knob.setAttribute("aria-controls", body.id);
    knob.append(word);
    this.row.append(knob);
    this.node.append(body);
    return {
      body,
      title: (text) => {
        say(word, text);
      },
      get isOpen() {
        return !body.hidden;
      },
    };
  }
}
