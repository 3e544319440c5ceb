// Router links that look as links and buttons do here.
import { Button, type ButtonProps } from "@mantine/core";
import { createLink, Link as RouterLink, type LinkProps } from "@tanstack/react-router";
import type { AnchorHTMLAttributes, ReactNode, Ref } from "react";

export function Link(props: LinkProps & { children: ReactNode }) {
  return <RouterLink {...props} className="hf-link" />;
}

type AnchorProps = Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof ButtonProps>;
function Anchor(props: ButtonProps & AnchorProps & { ref?: Ref<HTMLAnchorElement> }) {
  return <Button component="a" {...props} />;
}
export const LinkButton = createLink(Anchor);
