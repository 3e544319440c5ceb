// What stands in the place of a page that failed. The frame around it stays: menu, group and account go on working.

import { Button } from "@mantine/core";
import { useQueryErrorResetBoundary } from "@tanstack/react-query";
import { Link, useRouter, type ErrorComponentProps } from "@tanstack/react-router";
import { useEffect } from "react";
import { Empty, ProblemAlert } from "../components/Problem";
import { whatFailed } from "./whatFailed";

export function Failed({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const queries = useQueryErrorResetBoundary();
  // A page that is asked for again reads anew, and does not show the refusal that it got before.
  useEffect(() => queries.reset(), [queries]);
  const again = () => {
    queries.reset();
    reset();
    void router.invalidate();
  };
  const what = whatFailed(error);
  if (what.kind === "failed") return <ProblemAlert error={error} retry={again} />;
  return (
    <Empty
      title={what.title}
      action={
        <>
          <Button component={Link} to="/">
            To the overview
          </Button>
          <Button variant="default" onClick={again}>
            Look again
          </Button>
        </>
      }
    >
      {what.detail}
    </Empty>
  );
}

/** An address that no page has, inside the frame. */
export function NoPage() {
  return (
    <Empty
      title="There is no such page"
      action={
        <Button component={Link} to="/">
          To the overview
        </Button>
      }
    >
      The address is wrong, or what it names was removed.
    </Empty>
  );
}
