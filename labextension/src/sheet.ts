// A canvas as a sheet of paper: as wide as its place, in the theme's colours.

export interface Sheet {
  readonly pen: CanvasRenderingContext2D;
  /** Pixels of the page. */
  readonly width: number;
  /** A colour of the view, by the name of its variable without `--bv-`. */
  readonly colour: (name: string) => string;
}

/** An empty sheet, `height` pixels high; null while the canvas cannot be seen. */
export function sheetOf(canvas: HTMLCanvasElement, height: number): Sheet | null {
  const width = canvas.clientWidth;
  const pen = canvas.getContext("2d");
  if (!width || !pen) return null;
  const scale = window.devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  const style = getComputedStyle(canvas);
  return { pen, width, colour: (name) => style.getPropertyValue(`--bv-${name}`).trim() };
}
