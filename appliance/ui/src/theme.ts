// The look: dense, quiet, colour only where it means something. Contrast of every shade used for text is AA in both schemes.
import { createTheme, type MantineColorsTuple } from "@mantine/core";

const tide: MantineColorsTuple = [
  "#eef4f9",
  "#dbe7f1",
  "#b6cee3",
  "#8db3d4",
  "#6a9cc7",
  "#4f8bbd",
  "#3a79ac",
  "#2b6695",
  "#1d5480",
  "#12324a",
];

const dark: MantineColorsTuple = [
  "#d5dbe1",
  "#b4bec8",
  "#93a1ae",
  "#647484",
  "#3a4855",
  "#2c3843",
  "#202a33",
  "#172028",
  "#10181f",
  "#0a1016",
];

export const theme = createTheme({
  primaryColor: "tide",
  primaryShade: { light: 8, dark: 6 },
  colors: { tide, dark },
  fontFamily: 'Inter, "Segoe UI", system-ui, -apple-system, "Liberation Sans", "DejaVu Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace',
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "20px" },
  headings: {
    fontWeight: "600",
    sizes: {
      h1: { fontSize: "22px", lineHeight: "1.3" },
      h2: { fontSize: "16px", lineHeight: "1.4" },
      h3: { fontSize: "14px", lineHeight: "1.4" },
    },
  },
  defaultRadius: "sm",
  cursorType: "pointer",
  respectReducedMotion: true,
  focusRing: "auto",
  components: {
    Button: { defaultProps: { size: "sm" } },
    // The head of a dialog is none of the page's landmarks.
    Modal: { defaultProps: { attributes: { header: { role: "presentation" } } } },
    Drawer: { defaultProps: { attributes: { header: { role: "presentation" } } } },
    TextInput: { defaultProps: { size: "sm" } },
    Tooltip: { defaultProps: { withArrow: true, openDelay: 200, events: { hover: true, focus: true, touch: true } } },
  },
});
