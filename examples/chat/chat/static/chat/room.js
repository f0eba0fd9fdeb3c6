// The page of a room. The connection is in channel.js, which docs/topics/browser-client.md explains.

import {Channel} from "./channel.js";
import {compare, insert, lineOf} from "./log.js";
import {countUnread, showInTitle} from "./rooms.js";

const page = JSON.parse(document.getElementById("page").textContent);
const byId = (id) => document.getElementById(id);
const [list, form, text, state, members, typing, stats, ask] =
  ["messages", "form", "text", "state", "members", "typing", "stats", "ask"].map(byId);

const channel = new Channel(`/ws/rooms/${page.room}/`, {
  // A browser does not tell why a WebSocket was refused. A request for this page does.
  isRefused: async () => {
    try {
      const answer = await fetch(location.href, {method: "HEAD", redirect: "manual"});
      return answer.type === "opaqueredirect";
    } catch {
      return false;  // The server cannot be reached.
    }
  },
  // There is no message before the first, so the answer is short.
  probe: {before: 0},
});
// For the console: try channel.close(), and channel.connect() after a while.
window.channel = channel;

// --- The connection, which everybody can see ---

const labels = {
  open: "Connected", waiting: "Disconnected, reconnecting", ended: "Logged out", closed: "Disconnected",
};

channel.addEventListener("state", ({detail: {state: name, code}}) => {
  if (name === "connecting") return void (byId("countdown").textContent = "Trying now.");
  const disconnected = name === "ended" && code === 4403;
  const loggedOut = name === "ended" && !disconnected;
  state.className = name === "open" ? "open" : "closed";
  state.textContent = disconnected ? "Disconnected" : labels[name];
  byId("lost").hidden = name !== "waiting";
  byId("ended").hidden = !loggedOut;
  byId("disconnected").hidden = !disconnected;
  byId("account").hidden = loggedOut;
  byId("send").disabled = name === "ended";
  if (ask) ask.disabled = name !== "open";
  if (name === "ended") showProblem("");
  if (name !== "open") return;
  channel.send({ask: "members"});
  channel.send({ask: "rooms"});
  // The server stores a message once, however often it arrives.
  for (const message of unsent.values()) channel.send(message);
});

channel.addEventListener("countdown", ({detail: {seconds}}) => {
  byId("countdown").textContent = `Next try in ${seconds} s.`;
});
byId("now").addEventListener("click", () => channel.connect());
byId("again").addEventListener("click", () => channel.connect());

channel.addEventListener("message", ({detail: message}) => {
  if (message.errors) showErrors(message);
  else if (message.active) countUnread(message.active);
  else if (message.announcement) showAnnouncement(message);
  else if (message.earlier) showEarlier(message);
  else if (message.gap) isGap = shown.size > 0;
  else if (message.joined) showMembers([...here, message.joined]);
  else if (message.left) showMembers([...here].filter((name) => name !== message.left));
  else if (message.members) showMembers(message.members);
  else if (message.stats) showStats(message.stats);
  else if (message.typing) showTyping(message.typing);
  else showMessage(message);
});

// --- Messages, and whether they have arrived ---

const shown = new Map();   // the lines, by the id of the message
const unsent = new Map();  // the messages that the server has not sent back yet, by their ref
let isGap = false;         // whether messages may be missing before the next one
let hasStart = false;      // whether there is a button for earlier messages, or was

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const message = {text: text.value, ref: newRef()};
  unsent.set(message.ref, message);
  const line = lineOf({author: page.member, text: text.value, sent_at: new Date().toISOString()});
  line.id = message.ref;
  line.classList.add("mine", "unsent");
  line.querySelector(".delivery").textContent = channel.send(message) ? "Sending" : "Waiting";
  insert([line]);
  text.value = "";
  text.focus();
});

// crypto.randomUUID exists only on pages with TLS, and on localhost.
function newRef() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function showMessage(message) {
  // The first of the latest messages tells whether they follow what is shown.
  if (isGap && !shown.has(message.id)) insert([loader(message.id, "Some messages are missing here.")]);
  isGap = false;
  showProblem("");
  show([message]);
  if (shown.size === page.history && !hasStart) {
    hasStart = true;
    insert([loader(Math.min(...shown.keys()))], list.firstElementChild);
  }
  stopTyping(message.author);
  if (message.id > page.last && document.hidden && message.author !== page.member) {
    showInTitle(++unread);
  }
  markAsRead(message.id);
}

// A connection without a position sends the room's latest messages again.
function show(messages, next = null) {
  const fresh = messages.filter((message) => !shown.has(message.id));
  insert(fresh.map((message) => {
    const isMine = message.author === page.member;
    const line = lineOf(message, isMine && unsent.delete(message.ref) ? byId(message.ref) : null);
    line.classList.toggle("mine", isMine);
    line.classList.remove("unsent");
    line.querySelector(".delivery").textContent = isMine ? "Sent" : "";
    shown.set(message.id, line);
    return line;
  }), next);
  // What is not sent yet stays at the end.
  for (const ref of unsent.keys()) insert([byId(ref)]);
  return fresh;
}

function showErrors({errors, ref}) {
  showProblem(Object.values(errors).flat().map((error) => error.message).join(" "));
  const refused = unsent.get(ref);
  if (!refused) return;
  unsent.delete(refused.ref);
  byId(refused.ref).remove();
  text.value ||= refused.text;
}

function showProblem(problem) {
  byId("problem").textContent = problem;
  byId("problem").hidden = !problem;
}

function showAnnouncement({announcement, sent_at}) {
  const line = lineOf({author: "Announcement", text: announcement, sent_at});
  line.classList.add("announcement");
  insert([line]);
}

// --- Earlier messages: before the first one, and in a gap ---

// Scrolling to the first message asks for those before it.
const scrolled = new IntersectionObserver((entries) => {
  for (const {isIntersecting, target} of entries) if (isIntersecting) target.click();
}, {root: byId("log")});

function loader(before, label = "") {
  const line = byId("loader").content.firstElementChild.cloneNode(true);
  const button = line.querySelector("button");
  line.dataset.before = before;
  line.classList.toggle("gap", Boolean(label));
  line.querySelector("span").textContent = label;
  button.textContent = label ? "Show them" : "Show earlier messages";
  button.addEventListener("click", () => channel.send({before: Number(line.dataset.before)}));
  if (!label) scrolled.observe(button);
  return line;
}

function showEarlier({earlier, before}) {
  const line = list.querySelector(`.loader[data-before="${before}"]`);
  if (!line) return;
  const next = line.nextElementSibling;
  const fresh = show(earlier, next);
  if (fresh.length < page.history) {
    line.remove();
    compare(fresh.length ? shown.get(fresh[0].id) : next);
  } else {
    line.dataset.before = fresh[0].id;
  }
}

// --- Who is here, and who is writing ---

const here = new Set();
const typists = new Map();
let lastTyping = 0;

function showMembers(names) {
  here.clear();
  for (const name of names) here.add(name);
  members.textContent = `Here: ${[...here].sort().join(", ")}`;
  members.hidden = false;
}

text.addEventListener("input", () => {
  if (Date.now() - lastTyping > 2000 && channel.send({typing: true})) lastTyping = Date.now();
});

function showTyping(name) {
  clearTimeout(typists.get(name));
  typists.set(name, setTimeout(() => stopTyping(name), 4000));
  tellTyping();
}

function stopTyping(name) {
  clearTimeout(typists.get(name));
  if (typists.delete(name)) tellTyping();
}

function tellTyping() {
  const names = [...typists.keys()];
  typing.textContent =
    names.length ? `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing` : "";
}

// --- What the visitor has read ---

let unread = 0, last = 0, reading;

function markAsRead(id) {
  last = Math.max(last, id ?? 0);
  if (document.hidden) return;
  clearTimeout(reading);
  reading = setTimeout(() => channel.send({read: last}), 300);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  showInTitle(unread = 0);
  if (last) markAsRead();
});

// --- Statistics, from a worker ---

let unanswered;

function showAnswer(answer) {
  clearTimeout(unanswered);
  stats.textContent = answer;
  stats.hidden = false;
}

function showStats({messages, words, authors}) {
  const names = authors.map(([author, number]) => `${author} (${number})`).join(", ");
  showAnswer(`Messages: ${messages}. Words: ${words}. Most by: ${names || "nobody"}.`);
}

ask?.addEventListener("click", () => {
  if (!channel.send({ask: "stats"})) return;
  showAnswer("Counting");
  // A channel layer does not report whether anybody receives a message.
  unanswered = setTimeout(() => showAnswer("No answer yet. Perhaps no worker is running."), 5000);
});

channel.connect();
