"use strict";
const $ = (id) => document.getElementById(id);
let models = {};
let file = null;
let latest = 0; // number of the newest request: answers to older ones are not shown

function current() {
  return models[$("model").value];
}

function fill(select, pairs) {
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
}

function showError(line) {
  $("error").hidden = !line;
  $("error").textContent = line || "";
}

function figures(images) {
  return images.map(({ title, src }) => {
    const figure = document.createElement("figure");
    const image = document.createElement("img");
    image.alt = title;
    image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth < 200));
    image.src = src;
    const caption = document.createElement("figcaption");
    caption.textContent = title;
    figure.append(image, caption);
    return figure;
  });
}

function showBars(bars) {
  $("bars").replaceChildren(...bars.map(([name, share]) => {
    const row = document.createElement("div");
    row.className = "bar";
    const label = document.createElement("span");
    label.textContent = name;
    const progress = document.createElement("progress");
    progress.value = share;
    const number = document.createElement("span");
    number.textContent = share.toFixed(3);
    row.append(label, progress, number);
    return row;
  }));
}

async function ask(action, values, body) {
  const query = new URLSearchParams({ model: $("model").value, ...values });
  let response;
  try {
    response = await fetch(`api/${action}?${query}`, { method: "POST", headers: { "x-ganzoo": "1" }, body });
  } catch {
    throw new Error("the server does not answer: is `ganzoo demo` still running?");
  }
  const answer = await response.json();
  if (answer.error) throw new Error(answer.error);
  return answer;
}

async function show(action, values, body, place = "images") {
  const number = ++latest;
  document.body.classList.add("busy");
  try {
    const answer = await ask(action, values, body);
    if (number !== latest) return;
    showError("");
    $(place).replaceChildren(...figures(answer.images));
    if (place === "images") {
      $("line").textContent = answer.line;
      showBars(answer.bars);
    }
  } catch (error) {
    if (number === latest) showError(error.message);
  } finally {
    if (number === latest) document.body.classList.remove("busy");
  }
}

function noise() {
  const chosen = { seed_a: $("seed_a").value, label: current().classes.length ? $("label").value : "" };
  return { ...chosen, seed_b: $("seed_b").value, share: $("share").value, interpolation: $("interpolation").value };
}

let running = false;
let again = false;
async function walk() { // while an answer is on its way, the slider asks once more only, for where it is then
  if (running) { again = true; return; }
  running = true;
  do {
    again = false;
    if (current().walk) await show("walk", noise());
  } while (again);
  running = false;
}

function upload() {
  if (!file) return;
  const values = { name: file.name, direction: $("direction").value, size: $("size").value };
  show(current().classifier ? "classify" : "translate", values, file);
}

function choose(files) {
  if (!files.length) return;
  file = files[0];
  upload();
}

function changeModel() {
  const model = current();
  showError("");
  for (const id of ["images", "sheet", "bars"]) $(id).replaceChildren();
  $("line").textContent = "";
  $("kind").textContent = model.class;
  $("sample").hidden = !model.sampler;
  $("upload").hidden = model.sampler;
  document.body.classList.toggle("walking", model.walk);
  for (const part of document.querySelectorAll(".walk")) part.hidden = !model.walk;
  $("class_box").hidden = !model.classes.length;
  fill($("label"), model.classes.map((name, n) => [n, name]));
  const texts = { AtoB: "A to B", BtoA: "B to A" };
  fill($("direction"), model.directions.map((way) => [way, texts[way]]));
  $("direction_box").hidden = model.directions.length < 2;
  $("size_box").hidden = !model.translator;
  if (model.walk) walk();
  else if (model.sampler) show("sheet", noise(), undefined, "sheet");
  else upload();
}

for (const id of ["seed_a", "seed_b", "share"]) $(id).addEventListener("input", walk);
for (const id of ["label", "interpolation"]) $(id).addEventListener("change", walk);
$("new_seeds").addEventListener("click", () => {
  for (const id of ["seed_a", "seed_b"]) $(id).value = Math.floor(Math.random() * 100000);
  walk();
});
$("draw_sheet").addEventListener("click", () => show("sheet", noise(), undefined, "sheet"));
for (const id of ["direction", "size"]) $(id).addEventListener("change", upload);
$("file").addEventListener("change", () => choose($("file").files));
for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop" && !$("upload").hidden && event.dataTransfer.files.length) {
      $("file").files = event.dataTransfer.files; // shows its name
      choose(event.dataTransfer.files);
    }
  });
}
$("model").addEventListener("change", changeModel);

fetch("api/models").then((response) => response.json()).then((found) => {
  models = found;
  fill($("model"), Object.keys(found).map((name) => [name, name]));
  changeModel();
}).catch(() => showError("the server does not answer: is `ganzoo demo` still running?"));
