// The answer of the parrot: a stream of words, which ends.

const [form, question, answer, stop, state] =
  ["form", "question", "answer", "stop", "state"].map((id) => document.getElementById(id));
let source;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  end("");
  answer.textContent = "";
  stop.hidden = false;
  // A screen reader reads the answer when it is complete.
  answer.setAttribute("aria-busy", "true");
  source = new EventSource(`/parrot/events/?${new URLSearchParams({question: question.value})}`);
  source.onopen = () => { state.textContent = "Answering"; };
  source.onmessage = ({data}) => answer.append(`${data} `);
  source.addEventListener("end", () => end("Done"));
  source.onerror = () => {
    // The browser asks for the words after the last one, unless it was refused.
    if (source.readyState === EventSource.CLOSED) end("The answer was refused. Please reload the page.");
    else state.textContent = "Reconnecting";
  };
});

// The server notices it, and stops too.
stop.addEventListener("click", () => end("Stopped"));
addEventListener("pagehide", () => end("Stopped"));

function end(label) {
  source?.close();
  state.textContent = label;
  stop.hidden = true;
  answer.setAttribute("aria-busy", "false");
}
