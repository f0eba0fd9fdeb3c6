import {createElement as h, useState} from "react";
import {useChannel} from "./useChannel.js";

export function Room({name}) {
  const [lines, setLines] = useState([]);
  const {state, seconds, send} = useChannel(
    `/room/${name}/`, (message) => setLines((before) => [...before, message]));

  function submit(event) {
    event.preventDefault();
    const field = event.target.elements.text;
    if (send({text: field.value})) field.value = "";
  }

  return h("section", null,
    h("p", {role: "status"}, state === "waiting" ? `Next attempt in ${seconds} s` : state),
    h("ol", null, lines.map(({position, text}) => h("li", {key: position}, text))),
    h("form", {onSubmit: submit},
      h("input", {name: "text", required: true, "aria-label": "Message"}), h("button", null, "Send")));
}
