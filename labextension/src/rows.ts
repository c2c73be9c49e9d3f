// A table whose cells keep their nodes: only texts that differ change, so that what is selected stays so.

import { make, say } from "./dom.js";

export class Rows {
  readonly node = make("table", "bv-table");
  private readonly body = make("tbody");

  constructor(head: readonly string[]) {
    const row = make("tr");
    for (const word of head) {
      const cell = make("th", "", word);
      cell.scope = "col";
      row.append(cell);
    }
    const top = make("thead");
    top.append(row);
    this.node.append(top, this.body);
  }

  draw(rows: readonly (readonly string[])[]): void {
    while (this.body.rows.length > rows.length) this.body.lastElementChild?.remove();
    while (this.body.rows.length < rows.length) this.body.append(make("tr"));
    rows.forEach((texts, at) => {
      const row = this.body.rows[at];
      if (!row) return;
      while (row.cells.length > texts.length) row.lastElementChild?.remove();
      while (row.cells.length < texts.length) row.append(make("td"));
      texts.forEach((text, column) => {
        const cell = row.cells[column];
        if (cell) say(cell, text);
      });
    });
  }
}
