// The manual, built in: it is there when nothing else is.
import { Grid, NavLink } from "@mantine/core";
import { Link as RouterLink, useParams } from "@tanstack/react-router";
import { Page } from "../components/Page";
import { Empty } from "../components/Problem";
import { TOPICS } from "../help/topics";

export function HelpPage() {
  const { topic: id } = useParams({ strict: false });
  const topic = TOPICS.find((t) => t.id === (id ?? TOPICS[0]!.id));
  return (
    <Page title={topic ? topic.title : "Help"} lead="Manual">
      <Grid gap="xl">
        <Grid.Col span={{ base: 12, sm: 4, md: 3 }}>
          <nav aria-label="Topics">
            {TOPICS.map((t) => (
              <NavLink
                key={t.id}
                label={t.title}
                active={t.id === topic?.id}
                component={RouterLink}
                to="/help/$topic"
                // NavLink does not know the router's types.
                {...({ params: { topic: t.id } } as object)}
                aria-current={t.id === topic?.id ? "page" : undefined}
                variant="subtle"
                color="gray"
                styles={{ label: { color: "var(--hf-ink)", fontWeight: t.id === topic?.id ? 600 : 400 } }}
              />
            ))}
          </nav>
        </Grid.Col>
        <Grid.Col span={{ base: 12, sm: 8, md: 9 }}>
          {topic ? (
            <article className="hf-prose">{topic.body}</article>
          ) : (
            <Empty title="There is no such topic">Choose one on the left.</Empty>
          )}
        </Grid.Col>
      </Grid>
    </Page>
  );
}
