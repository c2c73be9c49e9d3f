// The list of sessions in JupyterLab: a sidebar, an item of the status bar, a tab for one job, and a word when a session
// ends. All of it goes through the Jupyter server; no kernel is needed, except to attach.

import type { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ILabShell, ILayoutRestorer as LayoutRestorer } from "@jupyterlab/application";
import { MainAreaWidget, Notification, WidgetTracker } from "@jupyterlab/apputils";
import { INotebookTracker } from "@jupyterlab/notebook";
import { IStatusBar } from "@jupyterlab/statusbar";
import { LabIcon } from "@jupyterlab/ui-components";
import { Signal } from "@lumino/signaling";
import { Widget } from "@lumino/widgets";

import { button, say } from "./dom.js";
import { Feed } from "./feed.js";
import { frameIn } from "./checked.js";
import type { SessionList } from "./frame.js";
import type { Answer } from "./host.js";
import { request } from "./jupyter.js";
import { BurstOutput } from "./mime.js";
import { attachWhereOpen, collectorWhereOpen } from "./reattach.js";
import { fault, type Collector } from "./server.js";
import { endedSince, totalOf, type Ending } from "./sessions.js";
import { Sidebar, type Deeds, type Permission } from "./sidebar.js";

import "../style/sessions.css";

const OPEN = "burst-magic:open-session";
const LIST = "burst-magic:open-list";
const SIDEBAR = "burst-sessions";
const EAGER = 2000; // milliseconds between two lists while the sidebar can be seen
const SLOW = 30_000; // while it cannot, and the status bar counts
const TOLD = 10_000; // milliseconds that a word on the end of a session stands
const ICON = new LabIcon({
  name: "burst-magic:sessions",
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><g class="jp-icon3 jp-icon-selectable" fill="none" stroke="#616161" stroke-width="2" stroke-linecap="round"><path d="M12 3v5M12 16v5M3 12h5M16 12h5M5.6 5.6l3.6 3.6M14.8 14.8l3.6 3.6M18.4 5.6l-3.6 3.6M9.2 14.8l-3.6 3.6"/></g></svg>`,
});

const permission: Permission = {
  state: () => ("Notification" in window && window.isSecureContext ? window.Notification.permission : "unsupported"),
  ask: async () => {
    await window.Notification.requestPermission();
  },
};

/** Hosts the list; it is followed while it is in sight. */
class SidebarWidget extends Widget {
  constructor(
    private readonly feed: Feed,
    private readonly list: Sidebar,
  ) {
    super();
    this.id = SIDEBAR;
    this.title.icon = ICON;
    this.title.caption = "Burst sessions";
    this.addClass("burst-sidebar");
    this.node.append(list.node);
  }

  protected override onAfterShow(): void {
    this.list.show();
    this.feed.want("sidebar", EAGER);
  }

  protected override onAfterHide(): void {
    this.feed.want("sidebar", null);
    this.list.hide();
  }
}

/** How much runs, and what it costs. */
class StatusItem extends Widget {
  readonly changed = new Signal<this, void>(this);
  active = false;
  private readonly label: HTMLButtonElement;

  constructor(open: () => void) {
    super();
    this.addClass("burst-status");
    this.label = button("burst-status-label", "", open);
    this.node.append(this.label);
  }

  draw(list: SessionList | null): void {
    const total = totalOf(list, Date.now() / 1000);
    say(this.label, total.words);
    this.label.title = total.title;
    this.label.dataset["over"] = String(total.overBudget);
    const active = total.running > 0;
    if (active === this.active) return;
    this.active = active;
    this.changed.emit();
  }
}

function activate(
  app: JupyterFrontEnd,
  notebooks: INotebookTracker,
  shell: ILabShell | null,
  statusBar: IStatusBar | null,
  restorer: ILayoutRestorer | null,
): void {
  if (!shell) return; // Notebook 7 has no place for a list beside its one document
  const feed = new Feed(request, () => permission.state() === "granted");
  const tabs = new WidgetTracker<MainAreaWidget<BurstOutput>>({ namespace: "burst-magic" });
  const notebookOf = (session: string): string => feed.list()?.sessions.find((each) => each.session.id === session)?.session.notebook ?? "";
  const collector = collectorWhereOpen(notebooks, notebookOf);
  const tabOf = (session: string, job: string): Promise<Opened> => openTab(shell, tabs, collector, { session, job });
  const open = async (session: string, job: string): Promise<Answer> => (await tabOf(session, job)).answer;
  const post = async (path: string): Promise<Answer> => {
    const reply = await request(path, { method: "POST", body: "{}" });
    feed.look();
    const notice = (reply.body as { notice?: string } | null)?.notice;
    return reply.status === 200 && notice !== undefined ? { ok: notice } : fault(reply);
  };
  const deeds: Deeds = {
    open,
    attach: (row) => Promise.resolve(attachWhereOpen(notebooks, row)),
    stop: (row) => post(`sessions/${row.id}/cancel`),
    delete: (row) => post(`sessions/${row.id}/delete`),
  };
  const sidebar = new SidebarWidget(feed, new Sidebar(feed, deeds, permission));
  shell.add(sidebar, "left", { rank: 550 });
  restorer?.add(sidebar, SIDEBAR);
  app.commands.addCommand(LIST, {
    label: "Show Burst Sessions",
    execute: () => {
      shell.activateById(SIDEBAR);
    },
  });
  app.commands.addCommand(OPEN, {
    label: "Open Burst Session",
    // JupyterLab forgets a tab whose command fails; one that cannot be read at the moment may come back another day.
    execute: async ({ session, job }) => {
      const { answer, gone } = await tabOf(session as string, job as string);
      if (gone) throw new Error(answer.problem);
    },
  });
  void restorer?.restore(tabs, {
    command: OPEN,
    args: ({ content }) => ({ session: content.shows?.session ?? "", job: content.shows?.job ?? "" }),
    name: (tab) => tab.id,
  });
  const item = new StatusItem(() => void app.commands.execute(LIST));
  statusBar?.registerStatusItem("burst-magic:running", {
    item,
    align: "left",
    rank: 20,
    isActive: () => item.active,
    activeStateChanged: item.changed,
  });
  let before: SessionList | null = null;
  feed.on(() => {
    const list = feed.list();
    item.draw(list);
    if (list && list !== before) for (const ending of endedSince(before, list)) tell(ending, () => void open(ending.id, ending.job));
    before = list;
  });
  feed.want("status", SLOW);
}

interface Opened {
  readonly answer: Answer;
  /** There is no such job any more. */
  readonly gone: boolean;
}

/** A tab with the view of one job; the one that is there, if it is. */
async function openTab(
  shell: ILabShell,
  tabs: WidgetTracker<MainAreaWidget<BurstOutput>>,
  collector: Collector,
  { session, job }: { readonly session: string; readonly job: string },
): Promise<Opened> {
  const id = `burst-${session}-${job}`;
  if (!tabs.find((tab) => tab.id === id)) {
    const reply = await request(`sessions/${encodeURIComponent(session)}/${encodeURIComponent(job)}/frame`);
    const frame = reply.status === 200 ? frameIn(reply.body) : null;
    if (tabs.find((tab) => tab.id === id)) return openTab(shell, tabs, collector, { session, job }); // a second click was faster
    if (!frame) {
      const answer = reply.status === 200 ? { problem: "the server's answer cannot be read" } : fault(reply);
      return { answer, gone: reply.status === 404 };
    }
    // The server remembers a deleted session for a while.
    if (frame.end === "deleted") return { answer: { problem: `${session} was deleted` }, gone: true };
    const content = new BurstOutput(null, collector);
    const tab = new MainAreaWidget({ content });
    tab.id = id;
    tab.title.label = frame.title || session;
    tab.title.caption = session;
    tab.title.icon = ICON;
    tab.title.closable = true;
    tab.addClass("burst-tab");
    content.follow(frame);
    shell.add(tab, "main");
    void tabs.add(tab);
  }
  shell.activateById(id);
  return { answer: { ok: "" }, gone: false };
}

/** Tells of the end of a session: in JupyterLab, and in the browser to who looks elsewhere and has allowed it. */
function tell({ id, words, failed }: Ending, open: () => void): void {
  Notification.emit(words, failed ? "error" : "success", {
    autoClose: TOLD,
    actions: [{ label: "Open", callback: open, displayType: "default" }],
  });
  if (!document.hidden || permission.state() !== "granted") return;
  const said = new window.Notification("burst", { body: words, tag: id });
  said.onclick = () => {
    window.focus();
    open();
  };
}

export const sessions: JupyterFrontEndPlugin<void> = {
  id: "burst-magic:sessions",
  description: "Lists the sessions of the configured store, says what they cost, and tells when one ends.",
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ILabShell, IStatusBar, LayoutRestorer],
  activate,
};
