// The lab extension's plugins; the renderer of outputs is in mime.ts.

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { INotebookTracker } from "@jupyterlab/notebook";

import { factory, RANK } from "./mime.js";
import { collectorOf, reattach } from "./reattach.js";
import { keepSavedFramesFresh } from "./saving.js";
import { sessions } from "./sessionsplugin.js";

const outputs: JupyterFrontEndPlugin<void> = {
  id: "burst-magic:outputs",
  description: "Follows bursts in notebooks, and saves their newest state.",
  autoStart: true,
  requires: [INotebookTracker],
  activate: (_app: JupyterFrontEnd, notebooks: INotebookTracker) => {
    notebooks.widgetAdded.connect((_tracker, panel) => {
      keepSavedFramesFresh(panel);
      panel.content.rendermime.addFactory(factory(panel.content.rendermime, collectorOf(panel)), RANK);
    });
  },
};

const reattaching: JupyterFrontEndPlugin<void> = {
  id: "burst-magic:reattaching",
  description: "Offers to bring back the results of a reopened notebook's bursts.",
  autoStart: true,
  requires: [INotebookTracker],
  activate: (_app: JupyterFrontEnd, notebooks: INotebookTracker) => {
    notebooks.widgetAdded.connect((_tracker, panel) => {
      void reattach(panel);
    });
  },
};

export default [outputs, reattaching, sessions];
