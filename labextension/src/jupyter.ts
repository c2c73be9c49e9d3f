// Requests to the Jupyter server that the page came from, with the user's token or cookies and XSRF.

import { URLExt } from "@jupyterlab/coreutils";
import { ServerConnection } from "@jupyterlab/services";

import type { Reply } from "./server.js";

/** One request to the routes below `burst/api`; never throws. */
export async function request(path: string, init: RequestInit = {}): Promise<Reply> {
  const settings = ServerConnection.makeSettings();
  try {
    const url = URLExt.join(settings.baseUrl, "burst/api", path);
    const response = await ServerConnection.makeRequest(url, init, settings);
    const text = response.status === 304 ? "" : await response.text();
    return { status: response.status, etag: response.headers.get("ETag") ?? "", body: parsed(text) };
  } catch {
    return { status: 0, etag: "", body: null };
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null; // a proxy's page, or a Jupyter server without our part
  }
}
