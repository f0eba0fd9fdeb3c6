// The list of messages, on the pages of a room and of the feed.

const log = document.getElementById("log");
const list = log.querySelector("ol");
const template = document.getElementById("line");
let atEnd = true;
const dayFormat = {weekday: "long", day: "numeric", month: "long"};
const timeFormat = {hour: "2-digit", minute: "2-digit"};

/** Return a line for a message: a new one, or a given one that showed it before it was sent. */
export function lineOf({author, text, sent_at, room}, given = null) {
  const line = given ?? template.content.firstElementChild.cloneNode(true);
  const [avatar, name, time, body] =
    [".avatar", "strong", "time", ".text"].map((selector) => line.querySelector(selector));
  const sentAt = new Date(sent_at);
  avatar.textContent = [...author][0];
  avatar.style.setProperty("--hue", hueOf(author));
  name.textContent = author;
  time.textContent = sentAt.toLocaleTimeString([], timeFormat);
  time.dateTime = sent_at;
  line.dataset.day = sentAt.toLocaleDateString([], dayFormat);
  line.dataset.author = author;
  line.dataset.room = room ?? "";
  body.replaceChildren(...linked(text));
  return line;
}

/** Put lines before another line, or at the end. The visitor keeps looking at the same ones. */
export function insert(lines, next = null) {
  const [height, top] = [log.scrollHeight, log.scrollTop];
  for (const line of lines) {
    // A screen reader would read a line again that only seems to move.
    if (line.parentNode !== list || line.nextElementSibling !== next) list.insertBefore(line, next);
  }
  for (const line of [...lines, next]) if (line) compare(line);
  if (atEnd) showEnd();
  else if (next) log.scrollTop = top + log.scrollHeight - height;
}

// Stay at the end when the log changes its height, as when a phone shows its keyboard.
log.addEventListener("scroll", () => {
  atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
});
new ResizeObserver(() => { if (atEnd) showEnd(); }).observe(log);

function showEnd() {
  log.scrollTop = log.scrollHeight;
}

/** Mark the first line of a day, and a line that goes on with what its author has just written. */
export function compare(line) {
  const before = line.previousElementSibling;
  const sameDay = before?.dataset.day === line.dataset.day;
  line.classList.toggle("new-day", Boolean(line.dataset.day) && !sameDay);
  line.classList.toggle("goes-on", sameDay && before.dataset.author === line.dataset.author
    && before.dataset.room === line.dataset.room);
}

// What people write is put into text nodes only, so it stays text; addresses become links.
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)])/).map((part, index) => {
    if (index % 2 === 0) return part;
    const link = document.createElement("a");
    link.href = link.textContent = part;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    return link;
  });
}

function hueOf(name) {
  return [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
}
