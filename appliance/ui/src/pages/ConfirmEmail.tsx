// The link in the mail to a new address of an account.
import { Button, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { confirmEmail } from "../api/access";
import { sessionQuery } from "../api/queries";
import { Link } from "../components/Link";
import { Outside } from "../components/Outside";
import { ProblemAlert } from "../components/Problem";
import { tokenOf } from "./token";

export function ConfirmEmailPage() {
  const [token] = useState(() => tokenOf(window.location.hash));
  const queries = useQueryClient();
  const confirm = useMutation({
    mutationFn: () => confirmEmail(token),
    onSuccess: () => queries.removeQueries({ queryKey: sessionQuery.queryKey }),
  });
  return (
    <Outside title="Confirm your new address">
      {confirm.isSuccess ? (
        <Text size="sm">
          The account goes by this address from now on, also to sign in. <Link to="/">Go on</Link>
        </Text>
      ) : (
        <>
          <Text size="sm">Your account will go by this address, and links for a new password are sent here alone.</Text>
          <ProblemAlert error={confirm.error} />
          <Button loading={confirm.isPending} onClick={() => confirm.mutate()}>
            Use this address
          </Button>
        </>
      )}
    </Outside>
  );
}
