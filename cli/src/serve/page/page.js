"use strict";

// The list asks every second whether something has changed. All text of messages is written by
// textContent, and their HTML is only shown in the frame without rights.

const byId = (id) => document.getElementById(id);

const state = {
  query: "",
  /** What names the list that is shown. */
  tag: null,
  /** The identifier of the message that is shown. */
  chosen: null,
  view: "html",
  /** The views whose content has been fetched for that message. */
  filled: new Set(),
};

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Characters that reorder the text around them: a name must not disguise the address beside it. */
const REORDERING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

function person(one) {
  const name = (one.Name ?? "").replace(REORDERING, "");
  return name ? `${name} <${one.Address}>` : one.Address;
}

const people = (all) => all.map(person).join(", ");

function size(octets) {
  if (octets < 1000) return `${octets} B`;
  if (octets < 1000000) return `${(octets / 1000).toFixed(1)} kB`;
  return `${(octets / 1000000).toFixed(1)} MB`;
}

async function ask(path, options) {
  const response = await fetch(path, options);
  if (!response.ok && response.status !== 304) {
    throw new Error((await response.text()) || response.statusText);
  }
  return response;
}

const path = (id, rest) => `/api/v1/message/${encodeURIComponent(id)}${rest}`;

async function refresh() {
  const query = state.query;
  const where = query ? `/api/v1/search?limit=1000&query=${encodeURIComponent(query)}`
    : "/api/v1/messages?limit=1000";
  const headers = state.tag ? { "If-None-Match": state.tag } : {};
  let response;
  try {
    response = await ask(where, { headers, cache: "no-store" });
  } catch (error) {
    byId("count").textContent = error.message;
    state.tag = null;
    return;
  }
  // The user has typed on meanwhile.
  if (query !== state.query || response.status === 304) return;
  const list = await response.json();
  state.tag = response.headers.get("ETag");
  showList(list);
}

function showList(list) {
  const rows = list.messages.map((message) => {
    const row = element("button", message.Read ? "" : "unread");
    row.type = "button";
    row.dataset.id = message.ID;
    row.setAttribute("aria-current", String(message.ID === state.chosen));
    const when = new Date(message.Created);
    const files = message.Attachments ? `+${message.Attachments}, ` : "";
    row.append(
      element("span", "who", person(message.From) || "(no sender)"),
      element("span", "when", when.toLocaleTimeString()),
      element("span", "what", message.Subject || "(no subject)"),
      element("span", "size", files + size(message.Size)),
      element("span", "snippet", `to ${people([...message.To, ...message.Cc, ...message.Bcc])}` +
        (message.Snippet ? ` \u2014 ${message.Snippet}` : "")),
    );
    row.addEventListener("click", () => choose(message.ID));
    return row;
  });
  byId("list").replaceChildren(...rows);
  const shown = list.messages_count === list.total ? `${list.total}`
    : `${list.messages_count} of ${list.total}`;
  byId("count").textContent = `${shown} messages, ${list.unread} unread`;
  byId("empty").textContent = list.messages_count ? "Choose a message." : "No messages.";
}

function addField(list, name, value) {
  if (!value) return;
  list.append(element("dt", "", name), element("dd", "", value));
}

async function choose(id) {
  state.chosen = id;
  history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  state.filled.clear();
  let message;
  try {
    message = await (await ask(path(id, ""))).json();
  } catch (error) {
    close();
    byId("count").textContent = error.message;
    return;
  }
  if (state.chosen !== id) return;
  byId("subject").textContent = message.Subject || "(no subject)";
  const fields = byId("fields");
  fields.replaceChildren();
  addField(fields, "From", person(message.From));
  addField(fields, "To", people(message.To));
  addField(fields, "Cc", people(message.Cc));
  addField(fields, "Bcc", people(message.Bcc));
  addField(fields, "Reply-To", people(message.ReplyTo));
  addField(fields, "Date", new Date(message.Date).toLocaleString());
  const files = [...message.Attachments, ...message.Inline].map((file) => {
    const link = element("a", "", `${file.FileName || file.ContentType}, ${size(file.Size)}`);
    link.href = path(id, `/part/${encodeURIComponent(file.PartID)}`);
    link.download = file.FileName;
    return link;
  });
  byId("attachments").replaceChildren(...files);
  byId("attachments").hidden = files.length === 0;
  byId("text").textContent = message.Text;
  state.filled.add("text");
  const frame = byId("html");
  frame.removeAttribute("src");
  tab("html").disabled = !message.HTML;
  byId("message").hidden = false;
  show(state.view === "html" && !message.HTML ? "text" : state.view);
  state.tag = null;
  refresh();
}

const tab = (view) => document.querySelector(`#tabs [data-view="${view}"]`);

/** Shows a view of the chosen message, and fetches its content the first time. */
async function show(view) {
  for (const button of document.querySelectorAll("#tabs button")) {
    const own = button.dataset.view === view;
    button.setAttribute("aria-selected", String(own));
    byId(button.dataset.view).hidden = !own;
  }
  const id = state.chosen;
  if (state.filled.has(view)) return;
  state.filled.add(view);
  try {
    await fill[view](id);
  } catch (error) {
    byId("count").textContent = error.message;
  }
}

const fill = {
  async html(id) {
    byId("html").src = `/view/${encodeURIComponent(id)}.html`;
  },
  async text() {},
  async source(id) {
    byId("source").textContent = await (await ask(path(id, "/raw"))).text();
  },
  async headers(id) {
    const headers = await (await ask(path(id, "/headers"))).json();
    const list = byId("headers");
    list.replaceChildren();
    for (const [name, values] of Object.entries(headers)) {
      for (const value of values) addField(list, name, value || " ");
    }
  },
  async session(id) {
    const session = await (await ask(path(id, "/session"))).json();
    const list = byId("envelope");
    list.replaceChildren();
    const withParameters = (address, parameters) => [`<${address}>`, ...parameters].join(" ");
    addField(list, "Reverse-path", withParameters(session.ReversePath, session.Parameters));
    for (const recipient of session.Recipients) {
      addField(list, "Recipient", withParameters(recipient.Address, recipient.Parameters));
    }
    addField(list, "Client", `${session.Peer}, connection ${session.Connection}`);
    addField(list, "HELO", session.Hello);
    addField(list, "Login", session.Username === null ? "none" : session.Username || "(certificate)");
    addField(list, "TLS", session.TLSVersion ? `${session.TLSVersion}, ${session.TLSCipher}` : "none");
    addField(list, "Certificate", session.Certificate);
    byId("dialogue").textContent = session.Dialogue;
  },
};

function close() {
  state.chosen = null;
  history.replaceState(null, "", location.pathname);
  byId("message").hidden = true;
  byId("html").removeAttribute("src");
}

async function remove(ids) {
  const body = ids ? JSON.stringify({ IDs: ids }) : undefined;
  const headers = { "Content-Type": "application/json" };
  try {
    await ask("/api/v1/messages", { method: "DELETE", headers, body });
  } catch (error) {
    byId("count").textContent = error.message;
    return;
  }
  close();
  state.tag = null;
  refresh();
}

for (const button of document.querySelectorAll("#tabs button")) {
  button.addEventListener("click", () => {
    state.view = button.dataset.view;
    show(state.view);
  });
}
byId("delete").addEventListener("click", () => remove([state.chosen]));
byId("delete-all").addEventListener("click", () => remove(null));
let typing;
byId("search").addEventListener("input", () => {
  // A search takes every message apart: not for each letter.
  clearTimeout(typing);
  typing = setTimeout(() => {
    state.query = byId("search").value.trim();
    state.tag = null;
    refresh();
  }, 200);
});
refresh();
setInterval(refresh, 1000);
if (location.hash) choose(decodeURIComponent(location.hash.slice(1)));
