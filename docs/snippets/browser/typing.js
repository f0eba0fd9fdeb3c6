const typing = new Map();  // name: the timer that ends it
let last = 0;

text.addEventListener("input", () => {
  if (Date.now() - last < 2000) return;
  if (channel.send({typing: true})) last = Date.now();
});

channel.addEventListener("message", ({detail}) => {
  if (!detail.typing) return;
  clearTimeout(typing.get(detail.typing));
  typing.set(detail.typing, setTimeout(() => { typing.delete(detail.typing); show(); }, 3000));
  show();
});

function show() {
  const names = [...typing.keys()];
  indicator.textContent = names.length ? `${names.join(", ")} typing` : "";
}
