// One slide at a time: arrows, space and page keys move, Home and End jump, N shows notes, F fills the screen.
(() => {
  "use strict";
  const slides = [...document.querySelectorAll(".slide")];
  const said = document.getElementById("said");
  let here = 0;

  function go(to) {
    here = Math.min(Math.max(to, 0), slides.length - 1);
    slides.forEach((slide, at) => {
      slide.classList.toggle("here", at === here);
      slide.inert = at !== here;
    });
    history.replaceState(null, "", `#s${here + 1}`);
    said.textContent = `${slides[here].getAttribute("aria-label")}: ${slides[here].querySelector("h1, h2").textContent}`;
  }

  function notes() {
    const on = document.body.classList.toggle("with-notes");
    document.getElementById("notes").setAttribute("aria-pressed", on);
  }

  function full() {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen?.();
  }

  const first = () => go(0);
  const last = () => go(slides.length - 1);
  const on = () => go(here + 1);
  const back = () => go(here - 1);
  const keys = {
    ArrowRight: on, ArrowDown: on, PageDown: on, " ": on,
    ArrowLeft: back, ArrowUp: back, PageUp: back, Backspace: back,
    Home: first, End: last, n: notes, N: notes, f: full, F: full,
  };

  document.addEventListener("keydown", (event) => {
    const pressed = event.key === " " && event.target.closest("button, summary"); // it presses that one
    if (pressed || event.altKey || event.ctrlKey || event.metaKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.getElementById("on").onclick = on;
  document.getElementById("back").onclick = back;
  document.getElementById("notes").onclick = notes;
  let touched = null;
  document.addEventListener("touchstart", (event) => { touched = event.changedTouches[0].clientX; }, { passive: true });
  document.addEventListener("touchend", (event) => {
    const way = event.changedTouches[0].clientX - touched;
    if (Math.abs(way) > 60) go(here + (way < 0 ? 1 : -1));
  }, { passive: true });

  document.body.classList.add("live");
  document.querySelector("nav").hidden = false;
  window.addEventListener("hashchange", () => go(Number(location.hash.slice(2)) - 1 || 0));
  go(Number(location.hash.slice(2)) - 1 || 0);
})();
