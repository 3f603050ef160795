// A garment held by pins on a body. Python draws every picture; this file only moves pins and shows what comes back.

const SVG = "http://www.w3.org/2000/svg";
const LIMIT = 1.05; // how far from the middle a pin may be dragged, in half pictures
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function element(parent, tag, attributes = {}, text = "") {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  parent.append(made);
  return made;
}

function view(parent, name, size, alt) {
  const box = element(parent, "div", { class: `view ${name}`, style: `aspect-ratio: ${size[0]} / ${size[1]}` });
  const image = element(box, "img", { alt, draggable: "false" });
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
  box.append(drawing);
  return { image, drawing };
}

function dots(drawing, count, radius) {
  return Array.from({ length: count }, () => {
    const dot = document.createElementNS(SVG, "circle");
    dot.setAttribute("r", radius);
    drawing.append(dot);
    return dot;
  });
}

function show(image, bytes) {
  const address = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
  image.onload = () => URL.revokeObjectURL(address);
  image.src = address;
}

function render({ model, el }) {
  const size = model.get("size");
  const [width, height] = size;
  const count = model.get("rest").length;
  const side = Math.round(Math.sqrt(count));
  const radius = width / 55;
  const root = element(el, "div", { class: "ladi-pins" });
  const flat = view(root, "flat", size, "the garment lying flat, with the points that the pins hold");
  const body = view(root, "body", size, "the body with the garment on it, held by pins");
  const panel = element(root, "div", { class: "side" });
  const error = element(panel, "div", { class: "error", "aria-live": "polite" });
  const note = element(panel, "div", { class: "note" });
  const buttons = element(panel, "div");
  const truth = element(buttons, "button", { type: "button", class: "truth-button" }, "Truth");
  const reset = element(buttons, "button", { type: "button", class: "reset-button" }, "Reset");
  element(panel, "div", { class: "note" }, "Drag a pin, or choose one with Tab and move it with the arrow keys.");
  const partners = dots(flat.drawing, count, radius);
  const pins = dots(body.drawing, count, radius);

  // Places go to Python one at a time: the newest, as soon as the last one has been drawn.
  let places = model.get("pins").map((pin) => [...pin]);
  let waiting = false;
  let newer = false;
  function send() {
    if (waiting) {
      newer = true;
      return;
    }
    newer = false;
    if (JSON.stringify(places) === JSON.stringify(model.get("pins"))) return; // nothing would come back
    waiting = true;
    model.set("pins", places.map((pin) => [...pin]));
    model.save_changes();
  }

  function put(dot, [x, y]) {
    dot.setAttribute("cx", ((x + 1) / 2) * (width - 1) + 0.5);
    dot.setAttribute("cy", ((y + 1) / 2) * (height - 1) + 0.5);
  }
  function putAll() {
    const shown = model.get("truth") ? model.get("places") : places;
    pins.forEach((pin, i) => put(pin, shown[i]));
  }
  function move(i, x, y) {
    const inside = (value) => Math.max(-LIMIT, Math.min(LIMIT, value));
    const next = [inside(x), inside(y)];
    if (model.get("truth") || (next[0] === places[i][0] && next[1] === places[i][1])) return;
    places[i] = next;
    put(pins[i], places[i]);
    send();
  }
  function mark(i, on) {
    for (const dot of [pins[i], partners[i]]) dot.classList.toggle("active", on);
  }

  model.get("rest").forEach((place, i) => put(partners[i], place));
  pins.forEach((pin, i) => {
    pin.setAttribute("tabindex", "0");
    pin.setAttribute("role", "button");
    pin.setAttribute("aria-label", `pin in row ${Math.floor(i / side) + 1}, column ${(i % side) + 1}`);
    pin.addEventListener("pointerdown", (event) => {
      pin.setPointerCapture(event.pointerId);
      mark(i, true);
    });
    pin.addEventListener("pointermove", (event) => {
      if (!pin.hasPointerCapture(event.pointerId)) return;
      const frame = body.drawing.getBoundingClientRect();
      const x = ((event.clientX - frame.left) / frame.width) * width - 0.5;
      const y = ((event.clientY - frame.top) / frame.height) * height - 0.5;
      move(i, (x / (width - 1)) * 2 - 1, (y / (height - 1)) * 2 - 1);
    });
    for (const end of ["pointerup", "pointercancel"]) pin.addEventListener(end, () => mark(i, false));
    pin.addEventListener("focus", () => mark(i, true));
    pin.addEventListener("blur", () => mark(i, false));
    pin.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key];
      if (!arrow) return;
      event.preventDefault();
      event.stopPropagation(); // in JupyterLab the arrows would leave the cell
      const step = event.shiftKey ? 0.1 : 0.02;
      move(i, places[i][0] + step * arrow[0], places[i][1] + (step * arrow[1] * width) / height);
    });
  });
  truth.addEventListener("click", () => {
    model.set("truth", !model.get("truth"));
    model.save_changes();
  });
  reset.addEventListener("click", () => {
    places = model.get("rest").map((pin) => [...pin]);
    model.set("truth", false);
    model.save_changes();
    putAll();
    send();
  });

  function tell() {
    const on = model.get("truth");
    const shown = on ? model.get("best_error") : model.get("error");
    error.textContent = `${shown.toFixed(1)} px`;
    note.textContent = on
      ? `The garment as it is truly worn, and where the pins belong: a spline through ${count} pins comes this near.`
      : `mean error of the warp against the truth; at rest it is ${model.get("rest_error").toFixed(1)} px`;
    truth.setAttribute("aria-pressed", on);
    root.classList.toggle("truth", on);
    putAll();
  }
  const drawn = () => {
    show(body.image, model.get("picture"));
    tell();
    waiting = false;
    if (newer) send();
    else if (!pins.some((pin) => pin.classList.contains("active"))) {
      places = model.get("pins").map((pin) => [...pin]); // moved from Python
      putAll();
    }
  };
  show(flat.image, model.get("garment"));
  show(body.image, model.get("picture"));
  tell();
  model.on("change:drawn", drawn);
  return () => model.off("change:drawn", drawn);
}

export default { render };
