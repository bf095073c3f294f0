// Shows a streamed response line by line, as it arrives.
const output = document.querySelector("[data-stream]");
const again = document.querySelector("[data-again]");

async function play() {
  again.disabled = true;
  output.textContent = "";
  const response = await fetch(output.dataset.stream);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) output.textContent += part.value;
  again.disabled = false;
}

if (output) {
  again.addEventListener("click", play);
  play();
}
