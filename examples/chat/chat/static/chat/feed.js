// The live feed: a stream of events, to which the browser reconnects by itself.

import {insert, lineOf} from "./log.js";

const [ended, account, state] = ["ended", "account", "state"].map((id) => document.getElementById(id));
const address = "/feed/events/";
let source, missing, retry, last = "";

function connect() {
  clearTimeout(retry);
  // For the console: look at source.readyState.
  source = window.source = new EventSource(`${address}?after=${last}`);
  source.onopen = () => {
    clearTimeout(missing);
    missing = undefined;
    showState("open", "Live");
  };
  source.onmessage = (event) => {
    last = event.lastEventId;
    showMessage(JSON.parse(event.data));
  };
  source.onerror = async (event) => {
    // The server ends each stream after a while. Do not show such a short break.
    missing ??= setTimeout(() => showState("closed", "Reconnecting"), 2500);
    if (source.readyState === EventSource.CONNECTING) return;  // The browser reconnects by itself.
    // The browser gives up if the response is not a stream: the member is logged out, or a proxy
    // reports that no server is running.
    if (await isLoggedOut()) showEnd();
    else if (event.target === source) retry = setTimeout(connect, 3000);
  };
}

async function isLoggedOut() {
  try {
    return (await fetch(address, {method: "HEAD"})).status === 401;
  } catch {
    return false;  // The server cannot be reached.
  }
}

function showEnd() {
  clearTimeout(missing);
  showState("closed", "Logged out");
  ended.hidden = false;
  account.hidden = true;
}

function showState(name, label) {
  state.className = name;
  state.textContent = label;
}

function showMessage(message) {
  const line = lineOf(message);
  const room = document.createElement("a");
  room.className = "room-name";
  room.textContent = message.room;
  room.href = `/rooms/${message.room}/`;
  line.querySelector("strong").after(room);
  insert([line]);
}

// A browser may keep a page that its visitor has left, to show it again quickly. It would keep the
// stream open too, so close it here.
addEventListener("pagehide", () => {
  source.close();
  clearTimeout(missing);
  missing = undefined;
});
addEventListener("pageshow", (event) => {
  if (event.persisted) connect();
});
connect();
