// What is saved is the newest state: when a notebook is saved, each of our outputs takes the newest frame, HTML and words
// that the server has drawn. So a reader without kernel and server sees where the job was, and not where it began.

import type { ICellModel, ICodeCellModel } from "@jupyterlab/cells";
import type { NotebookPanel } from "@jupyterlab/notebook";
import type { ReadonlyPartialJSONObject } from "@lumino/coreutils";

import { MIME, type Frame } from "./frame.js";
import { newestOf } from "./server.js";

/** Brings the outputs of a notebook up to date whenever it is saved. */
export function keepSavedFramesFresh(panel: NotebookPanel): void {
  panel.context.saveState.connect((_saved, state) => {
    if (state !== "started") return;
    for (const cell of panel.context.model.cells) if (isCode(cell)) refresh(cell);
  });
}

function isCode(model: ICellModel): model is ICodeCellModel {
  return model.type === "code";
}

function refresh(cell: ICodeCellModel): void {
  for (let at = 0; at < cell.outputs.length; at++) {
    const output = cell.outputs.get(at);
    const saved = output.data[MIME] as unknown as Frame | undefined;
    const bundle = saved && newestOf(saved);
    const newer = bundle?.[MIME] as Frame | undefined;
    if (!saved || !newer || newer.at <= saved.at) continue;
    output.setData({ data: { ...output.data, ...(bundle as ReadonlyPartialJSONObject) } });
  }
}
