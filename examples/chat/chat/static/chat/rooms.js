// The list of rooms, with the number of unread messages in each.

import {Channel} from "./channel.js";

const list = document.getElementById("rooms");
const title = document.title;

/** Count a message in a room, whose place is now the first. */
export function countUnread(room) {
  let item = list.querySelector(`[data-room="${CSS.escape(room)}"]`);
  if (!item) {
    item = document.getElementById("rooms-item").content.firstElementChild.cloneNode(true);
    item.dataset.room = room;
    item.querySelector("a").href = `/rooms/${room}/`;
    item.querySelector(".name").textContent = room;
  }
  const count = item.querySelector(".count");
  count.textContent = Number(count.textContent) + 1;
  item.querySelector(".unread").hidden = false;
  list.prepend(item);
}

/** Put a number into the title, which the tab shows. */
export function showInTitle(number) {
  document.title = number ? `(${number}) ${title}` : title;
}

// A page of a room has a channel of its own.
if ("alone" in list.dataset) {
  const showSum = () => {
    const numbers = [...list.querySelectorAll(".count")].map((count) => Number(count.textContent));
    showInTitle(numbers.reduce((sum, number) => sum + number, 0));
  };
  const channel = new Channel("/ws/rooms/");
  channel.addEventListener("message", ({detail}) => {
    countUnread(detail.active);
    showSum();
  });
  showSum();
  channel.connect();
}
