/** What is measured of an image, in the units that people read. */
export interface Measurements {
  /** As it is looked at, with the camera's rotation applied. */
  readonly width: number;
  readonly height: number;
  /** The most frequent colour, each channel from 0 to 255. */
  readonly dominant: { readonly r: number; readonly g: number; readonly b: number };
  /** The mean luminance, from 0 (black) to 1 (white). */
  readonly brightness: number;
  /** The entropy of the grey levels in bits, from 0 (one flat tone) to 8. */
  readonly entropy: number;
  /** How strong the edges are: the deviation of a Laplacian, around 1 for a soft photograph. */
  readonly sharpness: number;
  readonly transparent: boolean;
  /** More than one for an animation, of which the first is looked at. */
  readonly frames: number;
}

/** A sentence made of nothing but measurements. */
export function measuredCaption(image: Measurements): string {
  const kind = image.frames > 1 ? `animation of ${image.frames} frames` : 'image';
  const traits = [lightOf(image.brightness), detailOf(image), ...(image.transparent ? ['partly transparent'] : [])];
  const colour = colourName(image.dominant);
  return `${article(orientationOf(image))} ${kind} of ${image.width} × ${image.height} pixels, mostly ${colour}, ${list(traits)}.`;
}

export function orientationOf({ width, height }: Pick<Measurements, 'width' | 'height'>): string {
  const ratio = width / height;
  if (ratio > 2.5) return 'panoramic';
  if (ratio > 1.05) return 'landscape';
  return ratio < 0.95 ? 'portrait' : 'square';
}

/** The everyday name of a colour, from its hue, saturation and value. */
export function colourName({ r, g, b }: Measurements['dominant']): string {
  const max = Math.max(r, g, b) / 255;
  const min = Math.min(r, g, b) / 255;
  const chroma = max - min;
  if (max < 0.13) return 'black';
  if (chroma / max < 0.12) return greyName(max);
  const hue = hueOf(r / 255, g / 255, b / 255, max, chroma);
  const name = hues.find(({ below }) => hue < below)?.name ?? 'red';
  if (name === 'orange' && max < 0.65) return 'brown';
  if (max < 0.45) return `dark ${name}`;
  return chroma / max < 0.45 ? `pale ${name}` : name;
}

/** Upper bounds in degrees around the colour circle. */
const hues = [
  { below: 15, name: 'red' },
  { below: 45, name: 'orange' },
  { below: 70, name: 'yellow' },
  { below: 165, name: 'green' },
  { below: 200, name: 'cyan' },
  { below: 255, name: 'blue' },
  { below: 290, name: 'purple' },
  { below: 345, name: 'pink' },
] as const;

function hueOf(r: number, g: number, b: number, max: number, chroma: number): number {
  if (max === r) return (((g - b) / chroma) * 60 + 360) % 360;
  if (max === g) return ((b - r) / chroma) * 60 + 120;
  return ((r - g) / chroma) * 60 + 240;
}

function greyName(value: number): string {
  if (value > 0.93) return 'white';
  if (value > 0.7) return 'light grey';
  return value > 0.35 ? 'grey' : 'dark grey';
}

function lightOf(brightness: number): string {
  if (brightness < 0.2) return 'dark';
  if (brightness < 0.4) return 'dim';
  return brightness < 0.7 ? 'evenly lit' : 'bright';
}

function detailOf({ entropy, sharpness }: Pick<Measurements, 'entropy' | 'sharpness'>): string {
  if (entropy < 2) return 'almost without detail';
  if (sharpness < 0.5) return 'soft';
  return entropy < 6 ? 'with some detail' : 'rich in detail';
}

function list(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join() : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

function article(word: string): string {
  return `${/^[aeiou]/.test(word) ? 'An' : 'A'} ${word}`;
}
