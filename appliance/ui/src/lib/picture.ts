// A chart as a picture: its canvas on the page's background, with its title.

const MARGIN = 12;
const TITLE = 28;

/** Saves the chart within an element as a PNG. Does nothing while none is drawn. */
export function savePicture(element: HTMLElement | null, title: string): void {
  const canvas = element?.querySelector("canvas");
  if (!element || !canvas) return;
  const style = getComputedStyle(element);
  const ratio = window.devicePixelRatio || 1;
  const picture = document.createElement("canvas");
  picture.width = canvas.width + 2 * MARGIN * ratio;
  picture.height = canvas.height + (TITLE + MARGIN) * ratio;
  const context = picture.getContext("2d");
  if (!context) return;
  context.fillStyle = style.getPropertyValue("--hf-surface").trim() || "white";
  context.fillRect(0, 0, picture.width, picture.height);
  context.fillStyle = style.getPropertyValue("--hf-ink").trim() || "black";
  context.font = `600 ${14 * ratio}px ${style.fontFamily}`;
  context.fillText(title, MARGIN * ratio, 20 * ratio);
  context.drawImage(canvas, MARGIN * ratio, TITLE * ratio);
  const link = document.createElement("a");
  link.href = picture.toDataURL("image/png");
  link.download = `${title}.png`;
  link.click();
}
